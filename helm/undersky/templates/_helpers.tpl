{{/* Names and labels of every object; nothing else in this chart makes one up. */}}

{{/* Name of a part: undersky-<part>. Names are fixed: settings and Airflow's values rely on them. */}}
{{- define "undersky.name" -}}
undersky-{{ . }}
{{- end }}

{{/* The label of every pod of Undersky, stages and parts. */}}
{{- define "undersky.pods" -}}
app.kubernetes.io/name: undersky
{{- end }}

{{/* Labels of every pod of this release. */}}
{{- define "undersky.instance" -}}
app.kubernetes.io/name: undersky
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels by which pods are selected. Takes (dict "part" PART "root" $). */}}
{{- define "undersky.selector" -}}
{{ include "undersky.instance" .root }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{/* All labels of an object. Takes the same. */}}
{{- define "undersky.labels" -}}
{{ include "undersky.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* Labels that every pod of a stage carries; Airflow gives them. */}}
{{- define "undersky.stagePods" -}}
app.kubernetes.io/name: undersky
app.kubernetes.io/component: stage
{{- end }}

{{/* Namespace of the pods of stages. */}}
{{- define "undersky.workers" -}}
{{ .Values.workers.namespace | default .Release.Namespace }}
{{- end }}

{{/* Namespace of Airflow. */}}
{{- define "undersky.airflow" -}}
{{ .Values.airflow.namespace | default .Release.Namespace }}
{{- end }}

{{/* The stages, each a pod of its own, as JSON. */}}
{{- define "undersky.stages" -}}
{{ list "ingest" "validate-l1" "correct" "validate-surface" "map" "validate-map" "detect" "validate-objects" "roll" "dataset" "train" "evaluate" | toJson }}
{{- end }}

{{/* The image of the stages and of everything else here. */}}
{{- define "undersky.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{/* Address of a part inside the cluster. Takes (dict "part" PART "port" PORT "root" $). */}}
{{- define "undersky.service" -}}
http://{{ include "undersky.name" .part }}.{{ .root.Release.Namespace }}.svc:{{ .port }}
{{- end }}

{{/* Address of the registry. */}}
{{- define "undersky.registry" -}}
{{- if .Values.mlflow.url -}}
{{ .Values.mlflow.url }}
{{- else -}}
{{ include "undersky.service" (dict "part" "mlflow" "port" 5000 "root" .) }}
{{- end -}}
{{- end }}

{{/* Address of the STAC API; empty where there is none. */}}
{{- define "undersky.catalog" -}}
{{- if .Values.catalog.url -}}
{{ .Values.catalog.url }}
{{- else if .Values.catalog.enabled -}}
{{ include "undersky.service" (dict "part" "catalog" "port" 8082 "root" .) }}
{{- end -}}
{{- end }}

{{/* Address of an Ingress; takes its values. */}}
{{- define "undersky.host" -}}
{{ if .tlsSecret }}https{{ else }}http{{ end }}://{{ .host }}
{{- end }}
