{{/* Who reaches whom, as the rules of a NetworkPolicy. */}}

{{/* Rules that lead out, one for each entry of a list of addresses. */}}
{{- define "undersky.to" -}}
{{- range . }}
- to:
    - {{ include "undersky.peer" . | nindent 6 | trim }}
  ports:
    - port: {{ .port }}
      protocol: TCP
{{- end }}
{{- end }}

{{/* Peers that may come in; takes a list of addresses. */}}
{{- define "undersky.from" -}}
{{- range . }}
- {{ include "undersky.peer" . | nindent 2 | trim }}
{{- end }}
{{- end }}

{{/* One address: a CIDR, or pods of a namespace. */}}
{{- define "undersky.peer" -}}
{{- if .cidr -}}
ipBlock:
  cidr: {{ .cidr }}
  {{- with .except }}
  except:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- else -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ .namespace }}
podSelector:
  {{- if .labels }}
  matchLabels:
    {{- toYaml .labels | nindent 4 }}
  {{- else }} {}
  {{- end }}
{{- end -}}
{{- end }}

{{/* The rule that leads to the cluster's DNS. */}}
{{- define "undersky.dns" -}}
{{- with .Values.networkPolicy.dns -}}
- to:
    - {{ include "undersky.peer" . | nindent 6 | trim }}
  ports:
    - port: {{ .port }}
      protocol: UDP
    - port: {{ .port }}
      protocol: TCP
{{- end }}
{{- end }}

{{/* The rule that leads to a part of this chart. Takes (dict "part" PART "port" PORT "root" $). */}}
{{- define "undersky.toPart" -}}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ .root.Release.Namespace }}
      podSelector:
        matchLabels:
          {{- include "undersky.selector" . | nindent 10 }}
  ports:
    - port: {{ .port }}
      protocol: TCP
{{- end }}

{{/* Rules that lead to the registry, wherever it is. */}}
{{- define "undersky.toRegistry" -}}
{{- if .Values.mlflow.enabled -}}
{{ include "undersky.toPart" (dict "part" "mlflow" "port" 5000 "root" .) }}
{{- end }}
{{- include "undersky.to" .Values.networkPolicy.registry }}
{{- end }}

{{/* Airflow, as a peer. */}}
{{- define "undersky.airflowPods" -}}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ include "undersky.airflow" . }}
  podSelector:
    matchLabels:
      {{- toYaml .Values.airflow.podLabels | nindent 6 }}
{{- end }}

{{/* Parts of this chart, as a peer. Takes (dict "parts" LIST "root" $). */}}
{{- define "undersky.partPods" -}}
- podSelector:
    matchLabels:
      {{- include "undersky.instance" .root | nindent 6 }}
    matchExpressions:
      - key: app.kubernetes.io/component
        operator: In
        values: {{ .parts | toJson }}
{{- end }}

{{/* The stages that speak to the registry, as a peer. */}}
{{- define "undersky.trainingPods" -}}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ include "undersky.workers" . }}
  podSelector:
    matchLabels:
      {{- include "undersky.stagePods" . | nindent 6 }}
    matchExpressions:
      - {key: undersky/stage, operator: In, values: [train, evaluate]}
{{- end }}
