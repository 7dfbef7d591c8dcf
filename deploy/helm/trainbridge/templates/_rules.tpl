{{/* The alert rules with the addresses that their links begin with: what `trainbridge rules` prints for the same ones. */}}
{{- define "trainbridge.rules" -}}
{{- $text := .Files.Get "files/rules/trainbridge.rules.yaml" -}}
{{- $rule := .Values.metrics.prometheusRule -}}
{{- range $name, $url := dict "PUBLIC_URL" $rule.publicUrl "GRAFANA_URL" .Values.settings.grafana_url "RUNBOOK_URL" $rule.runbookUrl -}}
{{- $kept := ternary "with" "without" (not (empty $url)) -}}
{{- $dropped := ternary "without" "with" (not (empty $url)) -}}
{{- $text = regexReplaceAll (printf "(?m)^.* # %s %s\n" $dropped $name) $text "" -}}
{{- $text = $text | replace (printf " # %s %s" $kept $name) "" | replace $name (trimSuffix "/" $url) -}}
{{- end -}}
{{- $text -}}
{{- end -}}
