{{/* How a Job tries again: exit 2 wants a person, whatever else may pass. Takes (dict "limit" TRIES). */}}
{{- define "undersky.job" -}}
backoffLimit: {{ .limit }}
activeDeadlineSeconds: 1800
podFailurePolicy:
  rules:
    - action: FailJob
      onExitCodes:
        operator: In
        values: [2]
{{- end }}
