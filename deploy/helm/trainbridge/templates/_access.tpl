{{/* Whether whoever reaches a port is let in: "true" or "". */}}
{{- define "trainbridge.allowsAnybody" -}}
{{- $isClosed := or (include "trainbridge.asksForTokens" .) (and .Values.tls.clientCA.existingSecret .Values.tls.http.clientCA.existingSecret) -}}
{{- if kindIs "invalid" .Values.access.allowAnonymous -}}
{{- if not $isClosed -}}true{{- end -}}
{{- else if .Values.access.allowAnonymous -}}
true
{{- end -}}
{{- end -}}

{{/* Whether tokens of any kind admit: "true" or "". */}}
{{- define "trainbridge.asksForTokens" -}}
{{- if or (include "trainbridge.tokensSecret" .) (include "trainbridge.issuer" .) -}}true{{- end -}}
{{- end -}}

{{/* The Secret with the hashes of tokens; "": there are none. */}}
{{- define "trainbridge.tokensSecret" -}}
{{- if .Values.access.tokens.entries -}}
{{- include "trainbridge.fullname" . }}-tokens
{{- else -}}
{{- .Values.access.tokens.existingSecret -}}
{{- end -}}
{{- end -}}

{{/* Who issues the JSON Web Tokens that are taken; "": none are. */}}
{{- define "trainbridge.issuer" -}}
{{- if .Values.access.serviceAccounts -}}
{{- .Values.access.serviceAccountIssuer | default (printf "https://kubernetes.default.svc.%s" .Values.clusterDomain) -}}
{{- else -}}
{{- .Values.access.oidc.issuer -}}
{{- end -}}
{{- end -}}

{{/* Where its keys are; "": where its configuration says. The issuer of a cluster may be a name that no pod reaches. */}}
{{- define "trainbridge.jwksUrl" -}}
{{- .Values.access.oidc.jwksUrl | default (empty .Values.access.serviceAccounts | ternary "" "https://kubernetes.default.svc/openid/v1/jwks") -}}
{{- end -}}

{{/* Whether the keys come from the cluster's own API server, which asks for a token: "true" or "". */}}
{{- define "trainbridge.asksApiServer" -}}
{{- if and .Values.access.serviceAccounts (not .Values.access.oidc.jwksUrl) -}}true{{- end -}}
{{- end -}}

{{/* The name by which the pod of `helm test` comes in, where service accounts do; "": by none. */}}
{{- define "trainbridge.testAccount" -}}
{{- if and .Values.test.enabled .Values.access.serviceAccounts (not .Values.test.tokenSecret) -}}
{{- include "trainbridge.fullname" . }}-test
{{- end -}}
{{- end -}}

{{/* Whether there is a pod for `helm test`, which there is if it can get in: "true" or "". */}}
{{- define "trainbridge.hasTest" -}}
{{- if and .Values.test.enabled (or (include "trainbridge.allowsAnybody" .) .Values.test.tokenSecret (include "trainbridge.testAccount" .)) -}}true{{- end -}}
{{- end -}}

{{/* Whom claims and names in certificates admit, as the bridge reads it; "": there are no such rules. */}}
{{- define "trainbridge.accessRules" -}}
{{- $claims := list -}}
{{- with include "trainbridge.testAccount" . -}}
{{- $claims = append $claims (dict "name" "helm test" "match" (dict "sub" (printf "system:serviceaccount:%s:%s" $.Release.Namespace .)) "roles" (list "ingest" "view" "metrics") "sessions" "canary-") -}}
{{- end -}}
{{- range .Values.access.serviceAccounts -}}
{{- $name := printf "%s/%s" .namespace .name -}}
{{- $shown := contains "*" $name | ternary "{kubernetes.io.namespace}/{kubernetes.io.serviceaccount.name}" ($name | trunc 100) -}}
{{- $rule := dict "name" $shown "match" (dict "sub" (printf "system:serviceaccount:%s:%s" .namespace .name)) "roles" (.roles | default (list "ingest")) -}}
{{- $claims = append $claims (empty .sessions | ternary $rule (merge $rule (dict "sessions" .sessions))) -}}
{{- end -}}
{{- $rules := dict -}}
{{- with concat $claims .Values.access.oidc.claims -}}
{{- $rules = set $rules "claims" . -}}
{{- end -}}
{{- with .Values.access.certificates -}}
{{- $rules = set $rules "certificates" . -}}
{{- end -}}
{{- with $rules -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{/* Who the network policy lets in, for people. */}}
{{- define "trainbridge.peers" -}}
{{- if .Values.networkPolicy.allowSameNamespace }}pods of {{ .Release.Namespace }} and {{ end }}the peers in networkPolicy.grpcFrom and networkPolicy.httpFrom
{{- end -}}
