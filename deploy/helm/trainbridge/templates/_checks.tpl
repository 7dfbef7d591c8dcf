{{/* What contradicts itself, or would fail only later: every sentence says what to change. */}}
{{- define "trainbridge.checks" -}}
{{- $wrong := list -}}
{{- $v := .Values -}}
{{- $proxies := or $v.ingress.http.enabled $v.gateway.http.enabled -}}
{{- $grpcProxies := or $v.ingress.grpc.enabled $v.gateway.grpc.enabled -}}
{{- $hasTls := include "trainbridge.tlsSecret" . -}}
{{- if not $v.image.repository -}}
{{- $wrong = append $wrong "image.repository is empty, and no image is published yet: build the Dockerfile, push the image to a registry of yours, and set image.repository to its name there." -}}
{{- end -}}
{{- if and $v.autoscaling.enabled $v.keda.enabled -}}
{{- $wrong = append $wrong "autoscaling.enabled and keda.enabled are both true, and would fight over the replicas: set one of them to false." -}}
{{- end -}}
{{- range $name := list "autoscaling" "keda" -}}
{{- $scaler := get $v $name -}}
{{- if and $scaler.enabled (gt (int64 $scaler.minReplicas) (int64 $scaler.maxReplicas)) -}}
{{- $wrong = append $wrong (printf "%s.minReplicas is greater than %s.maxReplicas: lower the one or raise the other." $name $name) -}}
{{- end -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (not $v.autoscaling.targetStreams) (not $v.autoscaling.targetCPUUtilizationPercentage) -}}
{{- $wrong = append $wrong "autoscaling.enabled is true with nothing to scale on: set autoscaling.targetStreams or autoscaling.targetCPUUtilizationPercentage." -}}
{{- end -}}
{{- if and $v.keda.enabled (not $v.keda.serverAddress) -}}
{{- $wrong = append $wrong "keda.enabled is true and keda.serverAddress is empty: set it to the address of Prometheus, such as http://prometheus-operated.monitoring:9090." -}}
{{- end -}}
{{- if and $v.tls.existingSecret $v.tls.certManager.enabled -}}
{{- $wrong = append $wrong "tls.existingSecret and tls.certManager.enabled both give the certificate: empty the one or set the other to false." -}}
{{- end -}}
{{- if and $v.tls.certManager.enabled (not $v.tls.certManager.issuerRef.name) -}}
{{- $wrong = append $wrong "tls.certManager.enabled is true and tls.certManager.issuerRef.name is empty: set it to the name of an Issuer or ClusterIssuer." -}}
{{- end -}}
{{- $key := $v.tls.certManager.privateKey -}}
{{- $sizes := dict "ECDSA" (list 256 384 521) "RSA" (list 2048 3072 4096) "Ed25519" (list 0) -}}
{{- if and $v.tls.certManager.enabled (not (has (int $key.size) (get $sizes $key.algorithm))) -}}
{{- $wrong = append $wrong (printf "tls.certManager.privateKey.size does not fit %s: set it to 256, 384 or 521 for ECDSA, to 2048, 3072 or 4096 for RSA, to null for Ed25519." $key.algorithm) -}}
{{- end -}}
{{- if and (eq $v.service.type "ClusterIP") $v.service.externalTrafficPolicy -}}
{{- $wrong = append $wrong "service.externalTrafficPolicy is set, and a ClusterIP has no traffic from outside: empty it, or set service.type to NodePort or LoadBalancer." -}}
{{- end -}}
{{- if and (ne $v.service.type "LoadBalancer") (or $v.service.loadBalancerClass $v.service.loadBalancerSourceRanges) -}}
{{- $wrong = append $wrong "service.loadBalancerClass or service.loadBalancerSourceRanges is set without a load balancer: empty it, or set service.type to LoadBalancer." -}}
{{- end -}}
{{- if and $v.tls.clientCA.existingSecret (not $hasTls) -}}
{{- $wrong = append $wrong "tls.clientCA.existingSecret is set, but there is no TLS: set tls.existingSecret or tls.certManager.enabled too." -}}
{{- end -}}
{{- if and $hasTls (eq $v.probes.type "grpc") -}}
{{- $wrong = append $wrong "probes.type is grpc and the gRPC port speaks TLS, which the kubelet does not: set probes.type to http." -}}
{{- end -}}
{{- $needed := add $v.preStopSeconds $v.settings.shutdown_grace_seconds 5 -}}
{{- if lt (int64 $v.terminationGracePeriodSeconds) (int64 $needed) -}}
{{- $wrong = append $wrong (printf "terminationGracePeriodSeconds is %d, so bridges would be killed while they deliver: set it to at least %d (preStopSeconds + settings.shutdown_grace_seconds + 5), or lower those." (int64 $v.terminationGracePeriodSeconds) (int64 $needed)) -}}
{{- end -}}
{{- if lt (float64 $v.settings.session_lost_seconds) (mulf 3 $v.settings.heartbeat_seconds) -}}
{{- $wrong = append $wrong "settings.session_lost_seconds is shorter than three heartbeats: raise it, or lower settings.heartbeat_seconds." -}}
{{- end -}}
{{- if gt (float64 (include "trainbridge.spoolBytes" .)) (mulf 0.9 (float64 (include "trainbridge.volumeBytes" .))) -}}
{{- $wrong = append $wrong (printf "settings.spool_max_bytes does not leave a tenth of the volume to the journal: lower it, or raise %s." ($v.persistence.enabled | ternary "persistence.size" "emptyDir.sizeLimit")) -}}
{{- end -}}
{{- if and (not $v.images.store) (not $v.persistence.enabled) (not (include "trainbridge.isShared" .)) (has $v.settings.images_keep (list "sample" "all")) -}}
{{- $wrong = append $wrong (printf "settings.images_keep is %s, but images have no place: set images.store to s3://bucket/prefix, or persistence.enabled to true. On an emptyDir they would grow until the pod is evicted." $v.settings.images_keep) -}}
{{- end -}}
{{- if and (not $v.images.store) (include "trainbridge.isShared" .) (has $v.settings.images_keep (list "sample" "all")) -}}
{{- $wrong = append $wrong (printf "settings.images_keep is %s, but bridges that share a PostgreSQL have no place for images that all of them see: set images.store to s3://bucket/prefix." $v.settings.images_keep) -}}
{{- end -}}
{{- if and (or $v.s3.existingSecret $v.s3.endpoint $v.s3.caSecret) (not $v.images.store) -}}
{{- $wrong = append $wrong "s3 is set, but images.store is empty, so nothing would be stored there: set images.store to s3://bucket/prefix." -}}
{{- end -}}
{{- if and $v.otlp.existingSecret (not $v.settings.otlp_endpoint) (not $v.settings.otlp_traces_endpoint) -}}
{{- $wrong = append $wrong "otlp.existingSecret is set, but there is nowhere to send spans: set settings.otlp_endpoint." -}}
{{- end -}}
{{- range $name := list "http" "grpc" -}}
{{- $ingress := get $v.ingress $name -}}
{{- $gateway := get $v.gateway $name -}}
{{- if and $ingress.enabled (not $ingress.hosts) -}}
{{- $wrong = append $wrong (printf "ingress.%s.enabled is true and ingress.%s.hosts is empty: name at least one host, or it would take the requests of all." $name $name) -}}
{{- end -}}
{{- if and $gateway.enabled (not $gateway.parentRefs) -}}
{{- $wrong = append $wrong (printf "gateway.%s.enabled is true and gateway.%s.parentRefs is empty: name the Gateway to attach it to." $name $name) -}}
{{- end -}}
{{- end -}}
{{- $hasLoadBalancer := ne $v.service.type "ClusterIP" -}}
{{- if and $v.networkPolicy.enabled (or $proxies $hasLoadBalancer) (not $v.networkPolicy.httpFrom) -}}
{{- $wrong = append $wrong "The HTTP port is to be reached from outside of the namespace, but networkPolicy lets nobody in: name the proxy's pods or addresses in networkPolicy.httpFrom." -}}
{{- end -}}
{{- if and $v.networkPolicy.enabled (or $grpcProxies $hasLoadBalancer) (not $v.networkPolicy.grpcFrom) -}}
{{- $wrong = append $wrong "The gRPC port is to be reached from outside of the namespace, but networkPolicy lets nobody in: name the proxy's pods or addresses in networkPolicy.grpcFrom." -}}
{{- end -}}
{{- if and $v.metrics.serviceMonitor.enabled $v.metrics.podMonitor.enabled -}}
{{- $wrong = append $wrong "metrics.serviceMonitor.enabled and metrics.podMonitor.enabled are both true, so every bridge would be scraped twice: set one of them to false." -}}
{{- end -}}
{{- if and $v.podDisruptionBudget.enabled (not (kindIs "invalid" $v.podDisruptionBudget.minAvailable)) (not (kindIs "invalid" $v.podDisruptionBudget.maxUnavailable)) -}}
{{- $wrong = append $wrong "podDisruptionBudget has both minAvailable and maxUnavailable, and Kubernetes takes one: set the other to null." -}}
{{- end -}}
{{- if and (not $v.serviceAccount.create) $v.serviceAccount.annotations -}}
{{- $wrong = append $wrong "serviceAccount.annotations is set, but serviceAccount.create is false, so nothing carries them: annotate the account that is there, and empty them." -}}
{{- end -}}
{{- if and (include "trainbridge.hasTest" .) $v.tls.clientCA.existingSecret (not $v.test.clientCertSecret) -}}
{{- $wrong = append $wrong "tls.clientCA.existingSecret is set, and the test pod has no certificate to show: set test.clientCertSecret, or test.enabled to false." -}}
{{- end -}}
{{- $ours := list "TRAINBRIDGE_CONFIG" "TRAINBRIDGE_STATE" "TRAINBRIDGE_SPOOL_FOLDER" "TRAINBRIDGE_GRPC_ADDRESS" "TRAINBRIDGE_HTTP_ADDRESS" "TRAINBRIDGE_TLS_CERT_FILE" "TRAINBRIDGE_TLS_KEY_FILE" "TRAINBRIDGE_TLS_CLIENT_CA_FILE" "TRAINBRIDGE_HTTP_TLS_CERT_FILE" "TRAINBRIDGE_HTTP_TLS_KEY_FILE" "TRAINBRIDGE_HTTP_TLS_CLIENT_CA_FILE" "TRAINBRIDGE_ALLOW_ANONYMOUS" "TRAINBRIDGE_TOKENS_FILE" "TRAINBRIDGE_ACCESS_RULES_FILE" "TRAINBRIDGE_OIDC_ISSUER" "TRAINBRIDGE_OIDC_AUDIENCE" "TRAINBRIDGE_OIDC_JWKS_URL" "TRAINBRIDGE_OIDC_CA_FILE" "TRAINBRIDGE_OIDC_TOKEN_FILE" -}}
{{- $secrets := list "TRAINBRIDGE_S3_ACCESS_KEY" "TRAINBRIDGE_S3_SECRET_KEY" "TRAINBRIDGE_OTLP_HEADERS" "PGPASSWORD" "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" "AWS_SESSION_TOKEN" "OTEL_EXPORTER_OTLP_HEADERS" "OTEL_EXPORTER_OTLP_TRACES_HEADERS" -}}
{{- if not (include "trainbridge.isShared" .) -}}
{{- $ours = append $ours "TRAINBRIDGE_STATE_FILE" -}}
{{- end -}}
{{- $names := list -}}
{{- range include "trainbridge.env" . | fromYamlArray -}}
{{- if has .name $names -}}
{{- $wrong = append $wrong (printf "%s is set twice: take it out of extraEnv." .name) -}}
{{- end -}}
{{- if has .name $ours -}}
{{- $wrong = append $wrong (printf "extraEnv sets %s, which the chart decides: take it out." .name) -}}
{{- end -}}
{{- if and (has .name $secrets) .value -}}
{{- $wrong = append $wrong (printf "extraEnv holds the secret %s as a value, which everybody may read who can read pods: put it into a Secret, and give valueFrom.secretKeyRef or s3.existingSecret or otlp.existingSecret." .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- range $more := list "sharedStateChecks" "accessChecks" "networkChecks" "podChecks" "upgradeChecks" -}}
{{- $wrong = concat $wrong (include (printf "trainbridge.%s" $more) $ | fromJsonArray) -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "\n\n%s\n" (join "\n" $wrong)) -}}
{{- end -}}
{{- end -}}
