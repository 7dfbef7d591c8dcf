{{/* Where and how a bridge is scraped: (list . its-values). */}}
{{- define "trainbridge.endpoint" -}}
{{- $root := index . 0 -}}
{{- $own := index . 1 -}}
- port: http
  path: /metrics
  scheme: {{ include "trainbridge.httpScheme" $root }}
  interval: {{ $own.interval }}
  scrapeTimeout: {{ $own.scrapeTimeout }}
  honorLabels: false
  {{- if $own.bearerToken.existingSecret }}
  authorization:
    type: Bearer
    credentials:
      name: {{ $own.bearerToken.existingSecret | quote }}
      key: {{ $own.bearerToken.key | quote }}
  {{- else if $own.authorization }}
  authorization:
    {{- toYaml $own.authorization | nindent 4 }}
  {{- end }}
  {{- if $root.Values.tls.http.enabled }}
  tlsConfig:
    {{- $own.tlsConfig | default (include "trainbridge.scrapeTls" $root | fromYaml) | toYaml | nindent 4 }}
  {{- end }}
  {{- with $own.relabelings }}
  relabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* How Prometheus, which connects to addresses of pods, checks the bridge's certificate. */}}
{{- define "trainbridge.scrapeTls" -}}
serverName: {{ printf "%s.%s.svc" (include "trainbridge.fullname" .) .Release.Namespace | quote }}
{{- with .Values.test.caKey }}
ca:
  secret:
    name: {{ include "trainbridge.tlsSecret" $ | quote }}
    key: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Metadata of an object for the monitoring, which may live elsewhere: (list . its-values "suffix"). */}}
{{- define "trainbridge.monitoringMetadata" -}}
{{- $root := index . 0 -}}
{{- $own := index . 1 -}}
{{- $name := include "trainbridge.fullname" $root -}}
{{- $namespace := $own.namespace | default $root.Release.Namespace -}}
{{- /* In a namespace that is shared, releases of the same name must not take each other's objects. */ -}}
{{- if ne $namespace $root.Release.Namespace -}}
{{- $name = printf "%s-%s" $root.Release.Namespace $name | include "trainbridge.shortened" -}}
{{- end -}}
name: {{ $name }}{{ index . 2 }}
namespace: {{ $namespace | quote }}
labels:
  {{- merge (deepCopy $own.labels) (include "trainbridge.labels" (list $root "bridge") | fromYaml) | toYaml | nindent 2 }}
{{- with $own.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
