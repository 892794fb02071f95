{{/* Names under which the registry may be asked: the Service's, a forwarded port, the Ingress. */}}
{{- define "undersky.mlflowHosts" -}}
{{- $name := include "undersky.name" "mlflow" -}}
{{- $space := .Release.Namespace -}}
{{- $hosts := list $name (printf "%s.%s" $name $space) (printf "%s.%s.svc" $name $space) (printf "%s.%s.svc.cluster.local" $name $space) "localhost" "127.0.0.1" -}}
{{- $found := list -}}
{{- range $hosts }}{{ $found = concat $found (list . (printf "%s:*" .)) }}{{ end -}}
{{- with .Values.mlflow.ingress }}{{ if .enabled }}{{ $found = append $found .host }}{{ end }}{{ end -}}
{{ join "," (concat $found .Values.mlflow.allowedHosts) }}
{{- end }}
