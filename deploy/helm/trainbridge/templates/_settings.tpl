{{/* A size such as 10Gi, 10GiB, 10G or 1048576, in bytes. */}}
{{- define "trainbridge.bytes" -}}
{{- $factors := dict "" 1 "k" 1000 "m" 1000000 "g" 1000000000 "t" 1000000000000 "p" 1000000000000000
      "ki" 1024 "mi" 1048576 "gi" 1073741824 "ti" 1099511627776 "pi" 1125899906842624 -}}
{{- $text := kindIs "string" . | ternary . (printf "%.0f" (float64 .)) -}}
{{- $number := regexFind "^[0-9]+(\\.[0-9]+)?" $text -}}
{{- $unit := trimPrefix $number $text | trim | lower | trimSuffix "b" -}}
{{- printf "%.0f" (mulf (float64 $number) (float64 (get $factors $unit))) -}}
{{- end -}}

{{/* The size of the volume, in bytes. */}}
{{- define "trainbridge.volumeBytes" -}}
{{- .Values.persistence.enabled | ternary .Values.persistence.size .Values.emptyDir.sizeLimit | include "trainbridge.bytes" -}}
{{- end -}}

{{/* How much of it the spool may take. */}}
{{- define "trainbridge.spoolBytes" -}}
{{- if .Values.settings.spool_max_bytes -}}
{{- include "trainbridge.bytes" .Values.settings.spool_max_bytes -}}
{{- else -}}
{{- printf "%.0f" (mulf 0.75 (float64 (include "trainbridge.volumeBytes" .))) -}}
{{- end -}}
{{- end -}}

{{/*
Which images are kept. On a volume that is not a claim nothing is kept: it would fill until the pod is evicted,
and everything on it gone.
*/}}
{{- define "trainbridge.imagesKeep" -}}
{{- $hasPlace := or (not (empty .Values.images.store)) .Values.persistence.enabled -}}
{{- .Values.settings.images_keep | default ($hasPlace | ternary "sample" "none") -}}
{{- end -}}

{{/*
Names under which the bridge answers: those of its Services and pods, of the ingress and the gateway, and those given.
Names that end in .svc it answers anyway.
*/}}
{{- define "trainbridge.allowedHosts" -}}
{{- $service := include "trainbridge.fullname" . -}}
{{- $headless := include "trainbridge.headless" . -}}
{{- $names := splitList " " .Values.settings.allowed_hosts -}}
{{- $names = append $names (printf "%s.%s" $service .Release.Namespace) -}}
{{- $names = append $names (printf "*.%s" $headless) -}}
{{- $names = append $names (printf "*.%s.%s" $headless .Release.Namespace) -}}
{{- $names = append $names (printf "*.%s.svc.%s" .Release.Namespace .Values.clusterDomain) -}}
{{- if .Values.ingress.http.enabled -}}
{{- $names = concat $names .Values.ingress.http.hosts -}}
{{- end -}}
{{- if .Values.gateway.http.enabled -}}
{{- $names = concat $names .Values.gateway.http.hostnames -}}
{{- end -}}
{{- $names | compact | uniq | join " " -}}
{{- end -}}

{{/* How long the test waits for its images to reach the object store; "": it does not look, as none is to get there. */}}
{{- define "trainbridge.testStoreSeconds" -}}
{{- if and .Values.images.store (ne (include "trainbridge.imagesKeep" .) "none") .Values.test.storeSeconds -}}
{{- .Values.test.storeSeconds -}}
{{- end -}}
{{- end -}}

{{/* The bridge's configuration file. Whole numbers stay whole: YAML of a big one would be 1e+06. */}}
{{- define "trainbridge.settings" -}}
{{- $all := deepCopy .Values.settings -}}
{{- $all = set $all "public_url" (contains "$(POD_NAME)" (include "trainbridge.publicUrl" .) | ternary "" (include "trainbridge.publicUrl" .)) -}}
{{- $all = set $all "allow_anonymous" (include "trainbridge.allowsAnybody" . | empty | not) -}}
{{- $all = set $all "allowed_hosts" (include "trainbridge.allowedHosts" .) -}}
{{- $all = set $all "spool_max_bytes" (include "trainbridge.spoolBytes" . | int64) -}}
{{- $all = set $all "images_keep" (include "trainbridge.imagesKeep" .) -}}
{{- $all = set $all "images_store" .Values.images.store -}}
{{- $all = set $all "s3_endpoint" .Values.s3.endpoint -}}
{{- $all = set $all "s3_region" .Values.s3.region -}}
{{- $all = set $all "s3_path_style" .Values.s3.pathStyle -}}
{{- if .Values.s3.caSecret -}}
{{- $all = set $all "s3_ca_file" "/etc/trainbridge/s3-ca/ca.crt" -}}
{{- end -}}
{{- if include "trainbridge.tlsSecret" . -}}
{{- $all = set $all "tls_cert_file" "/etc/trainbridge/tls/tls.crt" -}}
{{- $all = set $all "tls_key_file" "/etc/trainbridge/tls/tls.key" -}}
{{- end -}}
{{- if .Values.tls.clientCA.existingSecret -}}
{{- $all = set $all "tls_client_ca_file" "/etc/trainbridge/client-ca/ca.crt" -}}
{{- end -}}
{{- if .Values.tls.http.enabled -}}
{{- $all = set $all "http_tls_cert_file" "/etc/trainbridge/tls/tls.crt" -}}
{{- $all = set $all "http_tls_key_file" "/etc/trainbridge/tls/tls.key" -}}
{{- end -}}
{{- if .Values.tls.http.clientCA.existingSecret -}}
{{- $all = set $all "http_tls_client_ca_file" "/etc/trainbridge/http-client-ca/ca.crt" -}}
{{- end -}}
{{- if include "trainbridge.tokensSecret" . -}}
{{- $all = set $all "tokens_file" "/etc/trainbridge/tokens/tokens.yaml" -}}
{{- end -}}
{{- if include "trainbridge.accessRules" . -}}
{{- $all = set $all "access_rules_file" "/etc/trainbridge/access/rules.yaml" -}}
{{- end -}}
{{- if include "trainbridge.issuer" . -}}
{{- $all = set $all "oidc_issuer" (include "trainbridge.issuer" .) -}}
{{- $all = set $all "oidc_audience" .Values.access.oidc.audience -}}
{{- $all = set $all "oidc_jwks_url" (include "trainbridge.jwksUrl" .) -}}
{{- end -}}
{{- if .Values.access.oidc.caSecret -}}
{{- $all = set $all "oidc_ca_file" "/etc/trainbridge/oidc-ca/ca.crt" -}}
{{- else if include "trainbridge.asksApiServer" . -}}
{{- $all = set $all "oidc_ca_file" "/etc/trainbridge/api-server/ca.crt" -}}
{{- end -}}
{{- if include "trainbridge.asksApiServer" . -}}
{{- $all = set $all "oidc_token_file" "/etc/trainbridge/api-server/token" -}}
{{- end -}}
{{- $lines := list -}}
{{- range $name, $value := $all -}}
{{- if not (or (kindIs "invalid" $value) (eq (toString $value) "")) -}}
{{- $isWhole := and (kindIs "float64" $value) (eq (toString $value | float64) (toString $value | float64 | floor)) -}}
{{- $lines = append $lines (printf "%s: %s" $name ($isWhole | ternary (toString (int64 (ternary $value 0 $isWhole))) (toJson $value))) -}}
{{- end -}}
{{- end -}}
{{- join "\n" $lines -}}
{{- end -}}
