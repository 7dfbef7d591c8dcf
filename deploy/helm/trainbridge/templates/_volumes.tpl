{{/*
Secrets that the bridge reads, as (volume, Secret, key, file). Each is a folder of its own, so that what Kubernetes
renews arrives in the pod; a single file mounted by subPath would stay as it was.
*/}}
{{- define "trainbridge.secrets" -}}
{{- if include "trainbridge.isShared" . }}
- volume: postgres
  secret: {{ .Values.state.postgres.existingSecret | quote }}
  items:
    - {key: {{ .Values.state.postgres.key | quote }}, path: url}
{{- end }}
{{- if .Values.state.postgres.caSecret }}
- volume: postgres-ca
  secret: {{ .Values.state.postgres.caSecret | quote }}
  items:
    - {key: {{ .Values.state.postgres.caKey | quote }}, path: ca.crt}
{{- end }}
{{- if .Values.s3.existingSecret }}
- volume: s3-keys
  secret: {{ .Values.s3.existingSecret | quote }}
  items:
    - {key: {{ .Values.s3.accessKeyKey | quote }}, path: access-key}
    - {key: {{ .Values.s3.secretKeyKey | quote }}, path: secret-key}
{{- end }}
{{- if .Values.s3.caSecret }}
- volume: s3-ca
  secret: {{ .Values.s3.caSecret | quote }}
  items:
    - {key: {{ .Values.s3.caKey | quote }}, path: ca.crt}
{{- end }}
{{- if .Values.otlp.existingSecret }}
- volume: otlp
  secret: {{ .Values.otlp.existingSecret | quote }}
  items:
    - {key: {{ .Values.otlp.headersKey | quote }}, path: headers}
{{- end }}
{{- if include "trainbridge.tlsSecret" . }}
- volume: tls
  secret: {{ include "trainbridge.tlsSecret" . | quote }}
  items:
    - {key: tls.crt, path: tls.crt}
    - {key: tls.key, path: tls.key}
{{- end }}
{{- if .Values.tls.clientCA.existingSecret }}
- volume: client-ca
  secret: {{ .Values.tls.clientCA.existingSecret | quote }}
  items:
    - {key: {{ .Values.tls.clientCA.key | quote }}, path: ca.crt}
{{- end }}
{{- if .Values.tls.http.clientCA.existingSecret }}
- volume: http-client-ca
  secret: {{ .Values.tls.http.clientCA.existingSecret | quote }}
  items:
    - {key: {{ .Values.tls.http.clientCA.key | quote }}, path: ca.crt}
{{- end }}
{{- if include "trainbridge.tokensSecret" . }}
- volume: tokens
  secret: {{ include "trainbridge.tokensSecret" . | quote }}
  items:
    - {key: {{ empty .Values.access.tokens.entries | ternary .Values.access.tokens.key "tokens.yaml" | quote }}, path: tokens.yaml}
{{- end }}
{{- if .Values.access.oidc.caSecret }}
- volume: oidc-ca
  secret: {{ .Values.access.oidc.caSecret | quote }}
  items:
    - {key: {{ .Values.access.oidc.caKey | quote }}, path: ca.crt}
{{- end }}
{{- end -}}

{{- define "trainbridge.volumes" -}}
- name: config
  configMap:
    name: {{ include "trainbridge.fullname" . | quote }}
# In memory: a key may pass through it.
- name: tmp
  emptyDir:
    medium: Memory
    sizeLimit: 256Mi
{{- if not .Values.persistence.enabled }}
- name: state
  emptyDir:
    sizeLimit: {{ .Values.emptyDir.sizeLimit | quote }}
{{- end }}
{{- range include "trainbridge.secrets" . | fromYamlArray }}
- name: {{ .volume }}
  secret:
    secretName: {{ .secret | quote }}
    defaultMode: 0440
    items:
      {{- toYaml .items | nindent 6 }}
{{- end }}
{{- if include "trainbridge.accessRules" . }}
- name: access
  configMap:
    name: {{ include "trainbridge.fullname" . }}-access
{{- end }}
{{- if include "trainbridge.asksApiServer" . }}
# For the keys of the cluster's issuer, which any account may read; the token has no other rights.
- name: api-server
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3600
      - configMap:
          name: kube-root-ca.crt
          items:
            - {key: ca.crt, path: ca.crt}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "trainbridge.mounts" -}}
- name: config
  mountPath: /etc/trainbridge/config
  readOnly: true
- name: state
  mountPath: /var/lib/trainbridge
- name: tmp
  mountPath: /tmp
{{- range include "trainbridge.secrets" . | fromYamlArray }}
- name: {{ .volume }}
  mountPath: /etc/trainbridge/{{ .volume }}
  readOnly: true
{{- end }}
{{- if include "trainbridge.accessRules" . }}
- name: access
  mountPath: /etc/trainbridge/access
  readOnly: true
{{- end }}
{{- if include "trainbridge.asksApiServer" . }}
- name: api-server
  mountPath: /etc/trainbridge/api-server
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Variables name files; no secret stands in a variable. */}}
{{- define "trainbridge.env" -}}
{{- $url := include "trainbridge.publicUrl" . -}}
{{- if contains "$(POD_NAME)" $url }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: TRAINBRIDGE_PUBLIC_URL
  value: {{ $url | quote }}
{{- end }}
{{- if include "trainbridge.isShared" . }}
{{ include "trainbridge.sharedStateEnv" . }}
{{- end }}
{{- if .Values.s3.existingSecret }}
- name: TRAINBRIDGE_S3_ACCESS_KEY_FILE
  value: /etc/trainbridge/s3-keys/access-key
- name: TRAINBRIDGE_S3_SECRET_KEY_FILE
  value: /etc/trainbridge/s3-keys/secret-key
{{- end }}
{{- if .Values.otlp.existingSecret }}
- name: TRAINBRIDGE_OTLP_HEADERS_FILE
  value: /etc/trainbridge/otlp/headers
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A probe: (list . "path" its-values). */}}
{{- define "trainbridge.probe" -}}
{{- $root := index . 0 -}}
{{- if eq $root.Values.probes.type "grpc" -}}
grpc:
  port: 50051
{{- else -}}
httpGet:
  path: {{ index . 1 }}
  port: http
  {{- if $root.Values.tls.http.enabled }}
  scheme: HTTPS
  {{- end }}
{{- end }}
{{ toYaml (index . 2) }}
{{- end -}}

{{/* Where pods would rather run: several bridges on several nodes, also where no node has a zone. */}}
{{- define "trainbridge.affinity" -}}
{{- $affinity := deepCopy .Values.affinity -}}
{{- if and (include "trainbridge.isMany" .) (not (hasKey $affinity "podAntiAffinity")) -}}
{{- $labels := set (include "trainbridge.selectorLabels" . | fromYaml) "app.kubernetes.io/component" "bridge" -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" $labels) -}}
{{- $affinity = set $affinity "podAntiAffinity" (dict "preferredDuringSchedulingIgnoredDuringExecution" (list (dict "weight" 100 "podAffinityTerm" $term))) -}}
{{- end -}}
{{- with $affinity -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{/* Labels of pods to spread, where a constraint names none. */}}
{{- define "trainbridge.spread" -}}
{{- $root := . -}}
{{- $constraints := .Values.topologySpreadConstraints -}}
{{- if and (kindIs "invalid" $constraints) (include "trainbridge.isMany" .) -}}
{{- $constraints = list
      (dict "maxSkew" 1 "topologyKey" "topology.kubernetes.io/zone" "whenUnsatisfiable" "ScheduleAnyway")
      (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway") -}}
{{- end -}}
{{- $labels := include "trainbridge.selectorLabels" . | fromYaml -}}
{{- $labels = set $labels "app.kubernetes.io/component" "bridge" -}}
{{- range $constraints }}
{{- $one := hasKey . "labelSelector" | ternary . (merge (dict "labelSelector" (dict "matchLabels" $labels)) .) }}
- {{ toYaml $one | nindent 2 | trim }}
{{- end }}
{{- end -}}
