{{/* Whether all bridges keep their state in one PostgreSQL, so that any of them takes any run: "true" or "". */}}
{{- define "trainbridge.isShared" -}}
{{- if .Values.state.postgres.existingSecret -}}true{{- end -}}
{{- end -}}

{{/* Variables of a bridge that shares its state: the URL as a file, and where the others reach this one. */}}
{{- define "trainbridge.sharedStateEnv" -}}
- name: TRAINBRIDGE_STATE_FILE
  value: /etc/trainbridge/postgres/url
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: TRAINBRIDGE_PEER_URL
  value: {{ printf "%s://%s:8080" (include "trainbridge.httpScheme" .) .Values.state.postgres.peerHost | quote }}
{{- if .Values.state.postgres.caSecret }}
# What the URL says of the same counts before these.
- name: PGSSLMODE
  value: verify-full
- name: PGSSLROOTCERT
  value: /etc/trainbridge/postgres-ca/ca.crt
{{- end }}
{{- end -}}

{{/* Ways out that a bridge needs to share its state, where what goes out is restricted. */}}
{{- define "trainbridge.sharedStateEgress" -}}
- ports:
    - port: {{ int64 .Values.state.postgres.port }}
      protocol: TCP
  {{- with .Values.state.postgres.peers }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
# The other bridges, for pages and images.
- ports:
    - port: http
      protocol: TCP
  to:
    - {{ include "trainbridge.bridgePods" . | nindent 6 | trim }}
{{- end -}}

{{/* The bridges, as a peer of a NetworkPolicy. */}}
{{- define "trainbridge.bridgePods" -}}
podSelector:
  matchLabels:
    {{- include "trainbridge.selectorLabels" . | nindent 4 }}
    app.kubernetes.io/component: bridge
{{- end -}}

{{/* How many bridges there are at least. */}}
{{- define "trainbridge.leastBridges" -}}
{{- if .Values.autoscaling.enabled -}}{{ int64 .Values.autoscaling.minReplicas }}
{{- else if .Values.keda.enabled -}}{{ int64 .Values.keda.minReplicas }}
{{- else -}}{{ int64 .Values.replicas }}{{- end -}}
{{- end -}}

{{/* How many connections to the PostgreSQL the bridges open at most. */}}
{{- define "trainbridge.databaseConnections" -}}
{{- $most := int64 .Values.replicas -}}
{{- if .Values.autoscaling.enabled -}}{{- $most = int64 .Values.autoscaling.maxReplicas -}}{{- end -}}
{{- if .Values.keda.enabled -}}{{- $most = int64 .Values.keda.maxReplicas -}}{{- end -}}
{{- mul $most (add .Values.settings.database_pool_size 3) -}}
{{- end -}}

{{/* What several bridges cannot share a state with, and what is set without one: sentences, as a list in JSON. */}}
{{- define "trainbridge.sharedStateChecks" -}}
{{- $wrong := list -}}
{{- $v := .Values -}}
{{- $postgres := $v.state.postgres -}}
{{- if include "trainbridge.isShared" . -}}
{{- if $v.persistence.enabled -}}
{{- $wrong = append $wrong "state.postgres.existingSecret and persistence.enabled are both set, and a bridge keeps its state in one place: set persistence.enabled to false; images on their way to the store have an emptyDir." -}}
{{- end -}}
{{- if le (float64 $v.settings.bridge_forget_seconds) (float64 $v.settings.bridge_dead_seconds) -}}
{{- $wrong = append $wrong "settings.bridge_forget_seconds is not longer than settings.bridge_dead_seconds, with which no bridge starts: raise it." -}}
{{- end -}}
{{- if contains "0.0.0.0" $postgres.peerHost -}}
{{- $wrong = append $wrong "state.postgres.peerHost is 0.0.0.0, which other bridges cannot reach: set it to $(POD_IP)." -}}
{{- end -}}
{{- else -}}
{{- if or $postgres.caSecret $postgres.peers -}}
{{- $wrong = append $wrong "state.postgres is set, but state.postgres.existingSecret is empty, so each bridge would keep its state to itself: set it to a Secret with the URL of the PostgreSQL." -}}
{{- end -}}
{{- end -}}
{{- $wrong | toJson -}}
{{- end -}}
