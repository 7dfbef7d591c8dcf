{{/* The name of the chart, as a label. */}}
{{- define "trainbridge.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
A name of at most 52 characters: that of a StatefulSet comes back in a label of its pods with ten more behind it. What
is cut ends in a hash, so that two long names stay two.
*/}}
{{- define "trainbridge.shortened" -}}
{{- if gt (len .) 52 -}}
{{- printf "%s-%s" (. | trunc 43 | trimSuffix "-") (. | sha256sum | trunc 8) -}}
{{- else -}}
{{- . | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of all objects. Services have no dots in theirs, releases may. */}}
{{- define "trainbridge.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $whole := .Values.fullnameOverride -}}
{{- if not $whole -}}
{{- $whole = contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- end -}}
{{- $whole | replace "." "-" | include "trainbridge.shortened" -}}
{{- end -}}

{{- define "trainbridge.headless" -}}
{{- include "trainbridge.fullname" . }}-headless
{{- end -}}

{{- define "trainbridge.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "trainbridge.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* The Secret with the certificate of the gRPC port, and with tls.http of the HTTP port; "": they are plain. */}}
{{- define "trainbridge.tlsSecret" -}}
{{- if .Values.tls.certManager.enabled -}}
{{- include "trainbridge.fullname" . }}-tls
{{- else -}}
{{- .Values.tls.existingSecret -}}
{{- end -}}
{{- end -}}

{{/* How the HTTP port is spoken to within the cluster. */}}
{{- define "trainbridge.httpScheme" -}}
{{- .Values.tls.http.enabled | ternary "https" "http" -}}
{{- end -}}

{{- define "trainbridge.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* What never changes in the life of a release: selectors are made of it. */}}
{{- define "trainbridge.selectorLabels" -}}
app.kubernetes.io/name: {{ include "trainbridge.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* Labels of an object: (list . "component"). */}}
{{- define "trainbridge.labels" -}}
{{- $root := index . 0 -}}
{{- $ours := include "trainbridge.selectorLabels" $root | fromYaml -}}
{{- $ours = set $ours "app.kubernetes.io/component" (index . 1) -}}
{{- $ours = set $ours "app.kubernetes.io/version" ($root.Chart.AppVersion | trunc 63) -}}
{{- $ours = set $ours "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $ours = set $ours "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- merge $ours $root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/* Labels of pods: (list . "component" own); those of a release that change with its version are left out. */}}
{{- define "trainbridge.podLabels" -}}
{{- $root := index . 0 -}}
{{- $ours := include "trainbridge.selectorLabels" $root | fromYaml -}}
{{- $ours = set $ours "app.kubernetes.io/component" (index . 1) -}}
{{- merge $ours (index . 2) $root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/* The version of the cluster, without what vendors add. */}}
{{- define "trainbridge.kubeVersion" -}}
{{- $version := .Values.kubeVersionOverride | default .Capabilities.KubeVersion.Version -}}
{{- regexFind "[0-9]+\\.[0-9]+\\.[0-9]+" $version | default "1.27.0" -}}
{{- end -}}

{{/* Which bridges a Service prefers, in the words of the cluster: 1.34 renamed PreferClose. */}}
{{- define "trainbridge.trafficDistribution" -}}
{{- $wanted := .Values.service.trafficDistribution -}}
{{- if has $wanted (list "PreferClose" "PreferSameZone") -}}
{{- $wanted = semverCompare ">=1.34.0" (include "trainbridge.kubeVersion" .) | ternary "PreferSameZone" "PreferClose" -}}
{{- end -}}
{{- $wanted -}}
{{- end -}}

{{/* Whether there can be more than one bridge: "true" or "". */}}
{{- define "trainbridge.isMany" -}}
{{- $most := int64 (.Values.replicas | default 0) -}}
{{- if .Values.autoscaling.enabled -}}{{- $most = int64 .Values.autoscaling.maxReplicas -}}{{- end -}}
{{- if .Values.keda.enabled -}}{{- $most = int64 .Values.keda.maxReplicas -}}{{- end -}}
{{- if gt $most 1 -}}true{{- end -}}
{{- end -}}

{{/* What links begin with. A session lives on one bridge: where there are several, each links to its own address if it can, unless any of them shows all sessions. */}}
{{- define "trainbridge.publicUrl" -}}
{{- $ingress := .Values.ingress.http -}}
{{- $gateway := .Values.gateway.http -}}
{{- if .Values.settings.public_url -}}
{{- .Values.settings.public_url -}}
{{- else if and $ingress.enabled $ingress.hosts -}}
{{- printf "%s://%s%s" (empty $ingress.tls | ternary "http" "https") (first $ingress.hosts) ($ingress.path | trimSuffix "*" | trimSuffix "/") -}}
{{- else if and $gateway.enabled $gateway.hostnames -}}
{{- printf "https://%s" (first $gateway.hostnames) -}}
{{- else if and (include "trainbridge.isMany" .) (not (include "trainbridge.isShared" .)) -}}
{{- printf "%s://$(POD_NAME).%s.%s.svc:8080" (include "trainbridge.httpScheme" .) (include "trainbridge.headless" .) .Release.Namespace -}}
{{- else -}}
{{- printf "%s://%s.%s.svc:%v" (include "trainbridge.httpScheme" .) (include "trainbridge.fullname" .) .Release.Namespace (int64 .Values.service.ports.http) -}}
{{- end -}}
{{- end -}}
