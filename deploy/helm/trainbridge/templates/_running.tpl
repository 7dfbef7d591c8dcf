{{/*
What runs already, as `lookup` finds it: {} where nothing does, where there is no cluster to ask (helm template, Argo CD),
and where upgradeChecks.enabled is false. Each takes (list . "kind" "name").
*/}}
{{- define "trainbridge.running" -}}
{{- $root := index . 0 -}}
{{- $versions := dict "StatefulSet" "apps/v1" "HorizontalPodAutoscaler" "autoscaling/v2" "Service" "v1" "PersistentVolumeClaim" "v1" -}}
{{- $found := dict -}}
{{- if $root.Values.upgradeChecks.enabled -}}
{{- $found = lookup (get $versions (index . 1)) (index . 1) $root.Release.Namespace (index . 2) -}}
{{- end -}}
{{- $found | default dict | toJson -}}
{{- end -}}

{{/*
How many bridges there are to be; "": Kubernetes or a scaler decides. Left out while something scales, an upgrade
would set it to 1: so where bridges run already, as many as run.
*/}}
{{- define "trainbridge.replicas" -}}
{{- $scaler := .Values.autoscaling.enabled | ternary .Values.autoscaling .Values.keda -}}
{{- if not $scaler.enabled -}}
{{- int64 .Values.replicas -}}
{{- else -}}
{{- $running := include "trainbridge.running" (list . "StatefulSet" (include "trainbridge.fullname" .)) | fromJson -}}
{{- if $running.spec -}}
{{- max (int64 ($running.spec.replicas | default 0)) (int64 $scaler.minReplicas) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The claim of each bridge, as its StatefulSet makes it. */}}
{{- define "trainbridge.claim" -}}
metadata:
  name: state
  labels:
    {{- merge (include "trainbridge.selectorLabels" . | fromYaml) .Values.persistence.labels | toYaml | nindent 4 }}
  {{- with .Values.persistence.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  accessModes:
    {{- toYaml .Values.persistence.accessModes | nindent 4 }}
  {{- if not (kindIs "invalid" .Values.persistence.storageClassName) }}
  storageClassName: {{ .Values.persistence.storageClassName | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ .Values.persistence.size | quote }}
{{- end -}}

{{/* What an upgrade cannot do to what runs, or only at a loss: sentences, as a list in JSON. */}}
{{- define "trainbridge.upgradeChecks" -}}
{{- $wrong := list -}}
{{- $v := .Values -}}
{{- $name := include "trainbridge.fullname" . -}}
{{- $kubectl := printf "kubectl --namespace %s" .Release.Namespace -}}
{{- $orphan := printf "%s delete statefulset %s --cascade=orphan" $kubectl $name -}}
{{- $running := include "trainbridge.running" (list . "StatefulSet" $name) | fromJson -}}
{{- if $running.spec -}}
{{- $spec := $running.spec -}}
{{- $fixed := "and Kubernetes does not let a StatefulSet change that" -}}
{{- $claims := $spec.volumeClaimTemplates | default list -}}
{{- $selector := set (include "trainbridge.selectorLabels" . | fromYaml) "app.kubernetes.io/component" "bridge" -}}
{{- if ne (toJson $selector) (toJson $spec.selector.matchLabels) -}}
{{- $wrong = append $wrong (printf "The running bridges are called %s, which nameOverride would change to %s, %s: set nameOverride to %s." (get $spec.selector.matchLabels "app.kubernetes.io/name") (include "trainbridge.name" .) $fixed (get $spec.selector.matchLabels "app.kubernetes.io/name")) -}}
{{- else if and $v.persistence.enabled (not $claims) -}}
{{- $wrong = append $wrong (printf `persistence.enabled is true, but the running bridges keep their state on an emptyDir, %s. Set it back to false, or move to claims:
  1. Wait until bridge_spool_bytes is 0: images that are not uploaded are lost with the emptyDir.
  2. %s
  3. Upgrade, as you just tried. The pods stay as they are, and their StatefulSet reports FailedUpdate until they are deleted.
  4. %s delete pod %s-0, and once it is ready the next one, in this order.
  Each pod takes the pages and series of its sessions along; a run in progress registers again, and sends what was not acknowledged.` $fixed $orphan $kubectl $name) -}}
{{- else if and $claims (include "trainbridge.isShared" .) -}}
{{- $wrong = append $wrong (printf `state.postgres.existingSecret is set, but the running bridges keep their state on claims, %s, and what is there is not moved to the PostgreSQL. Empty it, or leave the claims:
  1. Wait until bridge_spool_bytes is 0: images that are not uploaded stay behind on the claims, where no bridge reads them.
  2. %s
  3. Upgrade, as you just tried, and delete the pods of before.
  The bridges begin without the pages and series of their sessions; a run in progress registers again, and sends what was not acknowledged. The claims stay until you delete them.` $fixed $orphan) -}}
{{- else if and $claims (not $v.persistence.enabled) -}}
{{- $wrong = append $wrong (printf `persistence.enabled is false, but the running bridges keep their state on claims, %s. Set it back to true, or leave the claims:
  1. Wait until bridge_spool_bytes is 0: images that are not uploaded stay behind on the claims, where no bridge reads them.
  2. %s
  3. Upgrade, as you just tried.
  4. %s delete pod %s-0, and once it is ready the next one, in this order.
  The bridges begin without the pages and series of their sessions. The claims stay until you delete them.` $fixed $orphan $kubectl $name) -}}
{{- else if $claims -}}
{{- $old := first $claims -}}
{{- $new := include "trainbridge.claim" . | fromYaml -}}
{{- $had := $old.spec.resources.requests.storage -}}
{{- if ne (include "trainbridge.bytes" $had) (include "trainbridge.bytes" $v.persistence.size) -}}
{{- if lt (float64 (include "trainbridge.bytes" $v.persistence.size)) (float64 (include "trainbridge.bytes" $had)) -}}
{{- $wrong = append $wrong (printf "persistence.size is %s, but the claims of the running bridges have %s, and claims cannot shrink: set it to %s." $v.persistence.size $had $had) -}}
{{- else -}}
{{- $wrong = append $wrong (printf `persistence.size is %s, but the claims of the running bridges were made with %s, %s. Set it back to %s, or, where the storage class allows volumes to be expanded:
  1. For each bridge: %s patch pvc state-%s-0 --patch '{"spec": {"resources": {"requests": {"storage": "%s"}}}}'
  2. %s
  3. Upgrade, as you just tried. Pods and claims stay as they are.` $v.persistence.size $had $fixed $had $kubectl $name $v.persistence.size $orphan) -}}
{{- end -}}
{{- end -}}
{{- $differing := list -}}
{{- range $part, $pair := dict
      "accessModes" (list $old.spec.accessModes $new.spec.accessModes)
      "storageClassName" (list $old.spec.storageClassName $new.spec.storageClassName)
      "labels" (list $old.metadata.labels $new.metadata.labels)
      "annotations" (list $old.metadata.annotations $new.metadata.annotations) -}}
{{- if ne (index $pair 0 | toJson) (index $pair 1 | toJson) -}}
{{- $differing = append $differing (printf "persistence.%s (it was %s)" $part (index $pair 0 | toJson)) -}}
{{- end -}}
{{- end -}}
{{- if $differing -}}
{{- $wrong = append $wrong (printf `%s would change the claims of the running bridges, %s. Set it back, or, for claims that are made from now on:
  1. %s
  2. Upgrade, as you just tried. Pods and the claims that are there stay as they are.` (join ", " $differing) $fixed $orphan) -}}
{{- end -}}
{{- end -}}
{{- if and (semverCompare "<1.34.0" (include "trainbridge.kubeVersion" .)) (hasKey $spec "revisionHistoryLimit") (ne (int64 $spec.revisionHistoryLimit) (int64 $v.revisionHistoryLimit)) -}}
{{- $wrong = append $wrong (printf "revisionHistoryLimit is %d, but that of the running bridges is %d, %s before version 1.34: set it to %d, or run `%s` first, which leaves the pods as they are." (int64 $v.revisionHistoryLimit) (int64 $spec.revisionHistoryLimit) $fixed (int64 $spec.revisionHistoryLimit) $orphan) -}}
{{- end -}}
{{- if not (or $v.autoscaling.enabled $v.keda.enabled) -}}
{{- range $scaler := list $name (printf "keda-hpa-%s" $name) -}}
{{- $scaled := include "trainbridge.running" (list $ "HorizontalPodAutoscaler" $scaler) | fromJson -}}
{{- if and $scaled.spec (lt (int64 $v.replicas) (int64 ($spec.replicas | default 0))) -}}
{{- $wrong = append $wrong (printf "autoscaling or keda is switched off while it runs %d bridges, and replicas is %d, so every stream of the others would move at once: set replicas to %d, and lower it step by step in later upgrades." (int64 $spec.replicas) (int64 $v.replicas) (int64 $spec.replicas)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $v.persistence.enabled -}}
{{- $claims := include "trainbridge.running" (list . "PersistentVolumeClaim" "") | fromJson -}}
{{- range $claim := $claims.items | default list -}}
{{- $isOurs := regexMatch (printf "^state-%s-[0-9]+$" $name) $claim.metadata.name -}}
{{- if and $isOurs (lt (float64 (include "trainbridge.bytes" $claim.spec.resources.requests.storage)) (float64 (include "trainbridge.bytes" $v.persistence.size))) -}}
{{- $wrong = append $wrong (printf `persistence.size is %s, but the claim %s has %s, and the spool would outgrow it: set it to %s, or expand the claim first:
  %s patch pvc %s --patch '{"spec": {"resources": {"requests": {"storage": "%s"}}}}'` $v.persistence.size $claim.metadata.name $claim.spec.resources.requests.storage $claim.spec.resources.requests.storage $kubectl $claim.metadata.name $v.persistence.size) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $service := include "trainbridge.running" (list . "Service" $name) | fromJson -}}
{{- if $service.spec -}}
{{- $stays := and (eq ($service.spec.type | default "ClusterIP") "LoadBalancer") (eq $v.service.type "LoadBalancer") -}}
{{- $had := $service.spec.loadBalancerClass | default "" -}}
{{- if and $stays (ne $had $v.service.loadBalancerClass) -}}
{{- $wrong = append $wrong (printf "service.loadBalancerClass is %q, but that of the running Service is %q, and Kubernetes does not let a load balancer change it: set it back, or delete the Service first, with which its address goes: %s delete service %s" $v.service.loadBalancerClass $had $kubectl $name) -}}
{{- end -}}
{{- end -}}
{{- $wrong | toJson -}}
{{- end -}}
