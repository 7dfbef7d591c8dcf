{{/* Whether whoever reaches a port is let in: "true" or "". */}}
{{- define "trainbridge.allowsAnybody" -}}
{{- if ne (toString .Values.access.allowAnonymous) "false" -}}true{{- end -}}
{{- end -}}
