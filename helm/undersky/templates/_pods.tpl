{{/* What all pods of this chart have in common. */}}

{{/* The pod: who it is, restricted, without a token. Takes (dict "part" PART "root" $). */}}
{{- define "undersky.pod" -}}
serviceAccountName: {{ include "undersky.name" .part }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The container: image, security, mounts. Takes (dict "part" PART "root" $ "resources" RESOURCES). */}}
{{- define "undersky.container" -}}
image: {{ include "undersky.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  privileged: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
resources:
  {{- toYaml .resources | nindent 2 }}
volumeMounts:
  - name: scratch
    mountPath: /scratch
  {{- if .root.Values.caConfigMap }}
  - name: ca
    mountPath: /etc/undersky/ca
    readOnly: true
  {{- end }}
{{- end }}

{{/* Volumes that every container mounts. Takes (dict "root" $ "scratch" SIZE). */}}
{{- define "undersky.volumes" -}}
- name: scratch
  emptyDir:
    sizeLimit: {{ .scratch }}
{{- with .root.Values.caConfigMap }}
- name: ca
  configMap:
    name: {{ . }}
{{- end }}
{{- end }}

{{/* Environment of every process: where the bucket is, where files may be written. */}}
{{- define "undersky.environment" -}}
- name: UNDERSKY_STORE
  value: s3://{{ .Values.store.bucket }}
- name: UNDERSKY_COMMIT
  value: {{ .Values.store.commit }}
{{- with .Values.store.endpoint }}
- name: UNDERSKY_S3_ENDPOINT
  value: {{ . }}
{{- end }}
- name: AWS_REGION
  value: {{ .Values.store.region }}
- name: AWS_DEFAULT_REGION
  value: {{ .Values.store.region }}
- name: UNDERSKY_SCRATCH
  value: /scratch
- name: HOME
  value: /scratch
- name: TMPDIR
  value: /scratch
- name: PYTHONUNBUFFERED
  value: "1"
{{- if .Values.caConfigMap }}
{{- range list "SSL_CERT_FILE" "REQUESTS_CA_BUNDLE" "AWS_CA_BUNDLE" "CURL_CA_BUNDLE" }}
- name: {{ . }}
  value: /etc/undersky/ca/ca.crt
{{- end }}
{{- end }}
{{- with .Values.proxy }}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The Secret with a part's keys to the store. Takes (dict "part" PART "root" $). */}}
{{- define "undersky.storeSecret" -}}
{{ get .root.Values.secrets.stores .part | default .root.Values.secrets.store }}
{{- end }}

{{/* Environment from Secrets; takes a list of their names, of which some may be empty. */}}
{{- define "undersky.envFrom" -}}
{{- with compact . -}}
envFrom:
  {{- range . }}
  - secretRef:
      name: {{ . }}
  {{- end }}
{{- end -}}
{{- end }}
