{{/* Where and how a bridge is scraped: its values. */}}
{{- define "trainbridge.endpoint" -}}
- port: http
  path: /metrics
  scheme: http
  interval: {{ .interval }}
  scrapeTimeout: {{ .scrapeTimeout }}
  honorLabels: false
  {{- with .authorization }}
  authorization:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .relabelings }}
  relabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
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
