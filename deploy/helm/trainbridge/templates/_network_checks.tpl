{{/* Whether what comes in reaches the right port, and what goes out gets there: sentences, as a list in JSON. */}}
{{- define "trainbridge.networkChecks" -}}
{{- $wrong := list -}}
{{- $v := .Values -}}
{{- if not (regexMatch "^[a-z]" (include "trainbridge.fullname" .)) -}}
{{- $wrong = append $wrong (printf "The name of the release makes objects called %s, and names of Services begin with a letter: set fullnameOverride, or choose another name for the release." (include "trainbridge.fullname" .)) -}}
{{- end -}}
{{- if eq (int64 $v.service.ports.http) (int64 $v.service.ports.grpc) -}}
{{- $wrong = append $wrong (printf "service.ports.http and service.ports.grpc are both %d, and a Service has one thing behind a port: change one of them." (int64 $v.service.ports.http)) -}}
{{- end -}}
{{- if and (hasSuffix "DualStack" $v.service.ipFamilyPolicy) (eq $v.listenHost "0.0.0.0") -}}
{{- $wrong = append $wrong (printf "service.ipFamilyPolicy is %s, but the bridge listens on 0.0.0.0, so IPv6 connections would be refused: set listenHost to \"[::]\", which takes both." $v.service.ipFamilyPolicy) -}}
{{- end -}}
{{- $distribution := include "trainbridge.trafficDistribution" . -}}
{{- $since := eq $distribution "PreferSameNode" | ternary "1.34.0" "1.31.0" -}}
{{- if and $distribution (semverCompare (printf "<%s" $since) (include "trainbridge.kubeVersion" .)) -}}
{{- $wrong = append $wrong (printf "service.trafficDistribution is %s, which Kubernetes has from %s on, and this cluster is %s: empty it." $v.service.trafficDistribution (trimSuffix ".0" $since) (include "trainbridge.kubeVersion" .)) -}}
{{- end -}}
{{- $http := $v.ingress.http -}}
{{- if $http.enabled -}}
{{- $isOwn := regexMatch "^/(api|go|healthz|metrics|readyz|sessions|static)(/|$)" $http.path -}}
{{- if and $isOwn (not $v.settings.public_url) -}}
{{- $wrong = append $wrong (printf "ingress.http.path is %s, a path of the bridge's own, so pages below it would be 404: choose another one, or set settings.public_url to where the pages are." $http.path) -}}
{{- end -}}
{{- if and (eq $http.pathType "Exact") (not $isOwn) -}}
{{- $wrong = append $wrong "ingress.http.pathType is Exact, so all but the first page would be 404: set it to Prefix." -}}
{{- end -}}
{{- if and (ne $http.pathType "ImplementationSpecific") (regexMatch "[^-._~a-zA-Z0-9/%]" $http.path) -}}
{{- $wrong = append $wrong (printf "ingress.http.path is %s, a pattern, and the type %s has none: set ingress.http.pathType to ImplementationSpecific." $http.path $http.pathType) -}}
{{- else if and (not $v.settings.public_url) (regexMatch "[^-._~a-zA-Z0-9/%]" (trimSuffix "*" $http.path)) -}}
{{- $wrong = append $wrong (printf "ingress.http.path is %s, a pattern, from which no link can be made: set settings.public_url to where the pages are." $http.path) -}}
{{- end -}}
{{- range $host := $http.hosts -}}
{{- if and $v.ingress.grpc.enabled (has $host $v.ingress.grpc.hosts) -}}
{{- $wrong = append $wrong (printf "%s stands in ingress.http.hosts and in ingress.grpc.hosts, and a controller sends all of it to one of the ports: give gRPC a host name of its own." $host) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.gateway.http.enabled $v.gateway.grpc.enabled -}}
{{- range $parent := $v.gateway.http.parentRefs -}}
{{- $isShared := has (toJson $parent) (list) -}}
{{- range $other := $v.gateway.grpc.parentRefs -}}{{- if eq (toJson $parent) (toJson $other) -}}{{- $isShared = true -}}{{- end -}}{{- end -}}
{{- $both := list -}}
{{- range $host := $v.gateway.http.hostnames -}}{{- if has $host $v.gateway.grpc.hostnames -}}{{- $both = append $both $host -}}{{- end -}}{{- end -}}
{{- $areAll := and (empty $v.gateway.http.hostnames) (empty $v.gateway.grpc.hostnames) -}}
{{- if and $isShared (or $both $areAll) -}}
{{- $wrong = append $wrong (printf "gateway.http and gateway.grpc are attached to the same listener of %s for the same host, and a gateway takes one of them: name another host in gateway.grpc.hostnames, or another listener in sectionName." $parent.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if hasPrefix "*." (include "trainbridge.publicUrl" . | trimPrefix "https://" | trimPrefix "http://") -}}
{{- $wrong = append $wrong (printf "Links would begin with %s, which leads nowhere: set settings.public_url, or name a host without *. first." (include "trainbridge.publicUrl" .)) -}}
{{- end -}}
{{- $far := list -}}
{{- if $v.images.store -}}{{- $far = append $far "images.store" -}}{{- end -}}
{{- if or $v.settings.otlp_endpoint $v.settings.otlp_traces_endpoint -}}{{- $far = append $far "settings.otlp_endpoint" -}}{{- end -}}
{{- if include "trainbridge.issuer" . -}}{{- $far = append $far (printf "the issuer %s" (include "trainbridge.jwksUrl" . | default (include "trainbridge.issuer" .))) -}}{{- end -}}
{{- if and $v.networkPolicy.enabled $v.networkPolicy.egress.enabled (empty $v.networkPolicy.egress.rules) $far -}}
{{- $wrong = append $wrong (printf "networkPolicy.egress.enabled is true and networkPolicy.egress.rules is empty, so nothing would reach %s: name the ports and peers there." (join " and " $far)) -}}
{{- end -}}
{{- $knowsKeys := or $v.s3.existingSecret $v.serviceAccount.annotations (not $v.serviceAccount.create) $v.extraEnv $v.extraEnvFrom $v.extraVolumeMounts -}}
{{- if and $v.images.store $v.s3.endpoint (not (contains "amazonaws.com" $v.s3.endpoint)) (not $knowsKeys) -}}
{{- $wrong = append $wrong (printf "s3.endpoint is %s, and nothing gives the bridge keys for it: set s3.existingSecret to a Secret with access-key and secret-key, or serviceAccount.annotations for workload identity." $v.s3.endpoint) -}}
{{- end -}}
{{- range $name := list "serviceMonitor" "podMonitor" -}}
{{- $monitor := get $v.metrics $name -}}
{{- if and $monitor.enabled (gt (float64 (include "trainbridge.seconds" $monitor.scrapeTimeout)) (float64 (include "trainbridge.seconds" $monitor.interval))) -}}
{{- $wrong = append $wrong (printf "metrics.%s.scrapeTimeout is %s, longer than the interval of %s, and Prometheus takes neither: shorten the one or lengthen the other." $name $monitor.scrapeTimeout $monitor.interval) -}}
{{- end -}}
{{- end -}}
{{- $own := $v.tls.certManager -}}
{{- if and $own.enabled (ge (float64 (include "trainbridge.seconds" $own.renewBefore)) (float64 (include "trainbridge.seconds" $own.duration))) -}}
{{- $wrong = append $wrong (printf "tls.certManager.renewBefore is %s, but a certificate is valid for %s, so it would be renewed without end: shorten renewBefore." $own.renewBefore $own.duration) -}}
{{- end -}}
{{- $wrong | toJson -}}
{{- end -}}

{{/* A duration such as 1h30m, in seconds. */}}
{{- define "trainbridge.seconds" -}}
{{- $all := 0 -}}
{{- range $unit, $factor := dict "h" 3600 "m" 60 "s" 1 -}}
{{- $all = add $all (mul $factor (regexFind (printf "[0-9]+%s" $unit) $ | trimSuffix $unit | int64)) -}}
{{- end -}}
{{- $all -}}
{{- end -}}
