{{/* An Ingress to a part. Takes (dict "part" PART "port" PORT "values" INGRESS "root" $). */}}
{{- define "undersky.ingress" -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "undersky.name" .part }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "undersky.labels" . | nindent 4 }}
  {{- with .values.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .values.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- if .values.tlsSecret }}
  tls:
    - hosts: [{{ .values.host | quote }}]
      secretName: {{ .values.tlsSecret }}
  {{- end }}
  rules:
    - host: {{ .values.host | quote }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {{ include "undersky.name" .part }}
                port:
                  number: {{ .port }}
{{- end }}
