{{/* Whether it is said who may come in, once, and whoever is to can: sentences, as a list in JSON. */}}
{{- define "trainbridge.accessChecks" -}}
{{- $wrong := list -}}
{{- $v := .Values -}}
{{- $access := $v.access -}}
{{- $asks := include "trainbridge.asksForTokens" . -}}
{{- $grpcCA := $v.tls.clientCA.existingSecret -}}
{{- $httpCA := $v.tls.http.clientCA.existingSecret -}}
{{- if and $access.tokens.existingSecret $access.tokens.entries -}}
{{- $wrong = append $wrong "access.tokens.existingSecret and access.tokens.entries both give the tokens: add the entries to the Secret, or empty the one." -}}
{{- end -}}
{{- range $key := list "name" "sha256" -}}
{{- $seen := list -}}
{{- range $access.tokens.entries -}}
{{- if has (get . $key) $seen -}}
{{- $wrong = append $wrong (printf "access.tokens.entries has the %s of %s twice, and the bridge would not start: give each token an entry of its own." $key .name) -}}
{{- end -}}
{{- $seen = append $seen (get . $key) -}}
{{- end -}}
{{- end -}}
{{- if and $access.serviceAccounts $access.oidc.issuer -}}
{{- $wrong = append $wrong "access.serviceAccounts and access.oidc.issuer are both set, and a bridge takes JSON Web Tokens of one issuer: empty the one, and give those who come from there tokens of access.tokens. If the issuer is that of this cluster, set access.serviceAccountIssuer to it instead." -}}
{{- end -}}
{{- if and $access.oidc.issuer (not $access.serviceAccounts) (not $access.oidc.claims) -}}
{{- $wrong = append $wrong "access.oidc.issuer is set, and no rule says whom its tokens admit: add one to access.oidc.claims, such as {name: people, match: {groups: training}, roles: [view]}." -}}
{{- end -}}
{{- if and (not (include "trainbridge.issuer" .)) (or $access.oidc.claims $access.oidc.jwksUrl $access.oidc.caSecret $access.serviceAccountIssuer) -}}
{{- $wrong = append $wrong "access.oidc or access.serviceAccountIssuer is set, but no tokens are taken from there: set access.oidc.issuer, or name accounts in access.serviceAccounts." -}}
{{- end -}}
{{- if and $access.certificates (not $grpcCA) (not $httpCA) -}}
{{- $wrong = append $wrong "access.certificates has rules, but nobody is asked for a certificate: set tls.clientCA.existingSecret or tls.http.clientCA.existingSecret." -}}
{{- end -}}
{{- if and $httpCA (not $access.certificates) -}}
{{- $wrong = append $wrong "tls.http.clientCA.existingSecret is set, and no rule says whom a certificate admits: add one to access.certificates, such as {name: prometheus, match: prometheus.example.org, roles: [metrics]}." -}}
{{- end -}}
{{- if and $httpCA (not $v.tls.http.enabled) -}}
{{- $wrong = append $wrong "tls.http.clientCA.existingSecret is set, but HTTP is plain: set tls.http.enabled to true, too." -}}
{{- end -}}
{{- if and $v.tls.http.enabled (not (include "trainbridge.tlsSecret" .)) -}}
{{- $wrong = append $wrong "tls.http.enabled is true, but there is no certificate: set tls.existingSecret or tls.certManager.enabled too." -}}
{{- end -}}
{{- if and $asks (eq (toString $access.allowAnonymous) "true") -}}
{{- $wrong = append $wrong "access.allowAnonymous is true, though tokens are asked for, and a bridge does not do both: set it to null, or empty access.tokens, access.serviceAccounts and access.oidc." -}}
{{- end -}}
{{- $isOpen := or (not (or $asks $grpcCA)) (not (or $asks $httpCA)) -}}
{{- if and (eq (toString $access.allowAnonymous) "false") $isOpen (not $v.extraEnvFrom) -}}
{{- $wrong = append $wrong (printf "access.allowAnonymous is false, and nothing says who may come in over %s: set access.tokens, access.serviceAccounts or access.oidc." (or $asks $grpcCA | empty | ternary "gRPC and HTTP" "HTTP")) -}}
{{- end -}}
{{- range $name := list "serviceMonitor" "podMonitor" -}}
{{- $monitor := get $v.metrics $name -}}
{{- if and $monitor.bearerToken.existingSecret $monitor.authorization -}}
{{- $wrong = append $wrong (printf "metrics.%s.bearerToken.existingSecret and metrics.%s.authorization both say what Prometheus shows: empty the one." $name $name) -}}
{{- end -}}
{{- $shows := or $monitor.bearerToken.existingSecret $monitor.authorization $monitor.tlsConfig.cert -}}
{{- if and $monitor.enabled (not $shows) (not (include "trainbridge.allowsAnybody" $)) -}}
{{- $wrong = append $wrong (printf "metrics.%s.enabled is true, and every scrape would be refused, as Prometheus has no token: set metrics.%s.bearerToken.existingSecret to a Secret with one that has the role metrics." $name $name) -}}
{{- end -}}
{{- $isElsewhere := and $monitor.namespace (ne $monitor.namespace $.Release.Namespace) -}}
{{- if and $monitor.enabled $isElsewhere $v.tls.http.enabled $v.test.caKey (not $monitor.tlsConfig) -}}
{{- $wrong = append $wrong (printf "metrics.%s.namespace is %s, where the operator does not find the Secret with the bridge's certificate: set metrics.%s.tlsConfig, such as {ca: {configMap: {name: ..., key: ...}}}." $name $monitor.namespace $name) -}}
{{- end -}}
{{- end -}}
{{- if and $v.test.tokenSecret (not $asks) -}}
{{- $wrong = append $wrong "test.tokenSecret is set, but nobody is asked for a token: empty it, or set access.tokens." -}}
{{- end -}}
{{- $wrong | toJson -}}
{{- end -}}
