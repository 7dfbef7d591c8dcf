{{/* What the cluster would refuse in a pod, or kill it for: sentences, as a list in JSON. */}}
{{- define "trainbridge.podChecks" -}}
{{- $wrong := list -}}
{{- $v := .Values -}}
{{- $size := $v.persistence.enabled | ternary "persistence.size" "emptyDir.sizeLimit" -}}
{{- if lt (float64 (include "trainbridge.volumeBytes" .)) 268435456.0 -}}
{{- $wrong = append $wrong (printf "%s is %s, too little for a journal: give at least 256Mi." $size ($v.persistence.enabled | ternary $v.persistence.size $v.emptyDir.sizeLimit)) -}}
{{- end -}}
{{- range $name, $bounds := dict
      "spool_max_bytes" (list "1MiB" "1048576TiB")
      "max_message_bytes" (list "64KiB" "1GiB")
      "grpc_lookahead_bytes" (list "64KiB" "64MiB")
      "images_decode_memory_bytes" (list "256MiB" "16GiB") -}}
{{- $given := get $v.settings $name -}}
{{- $isGiven := not (or (kindIs "invalid" $given) (eq (toString $given) "")) -}}
{{- $bytes := $isGiven | ternary $given (index $bounds 0) | include "trainbridge.bytes" | float64 -}}
{{- if or (lt $bytes (index $bounds 0 | include "trainbridge.bytes" | float64)) (gt $bytes (index $bounds 1 | include "trainbridge.bytes" | float64)) -}}
{{- $wrong = append $wrong (printf "settings.%s is %v, with which no bridge starts: give a size from %s to %s." $name $given (index $bounds 0) (index $bounds 1)) -}}
{{- end -}}
{{- end -}}
{{- range $path, $resources := dict "resources" $v.resources "test.resources" $v.test.resources -}}
{{- $limits := ($resources | default dict).limits | default dict -}}
{{- $requests := ($resources | default dict).requests | default dict -}}
{{- range $kind, $least := dict "memory" 67108864.0 -}}
{{- range $list, $amounts := dict "limits" $limits "requests" $requests -}}
{{- if and (hasKey $amounts $kind) (or (hasSuffix "m" (toString (get $amounts $kind))) (and (eq $list "limits") (lt (float64 (include "trainbridge.bytes" (get $amounts $kind))) $least))) -}}
{{- $wrong = append $wrong (printf "%s.%s.memory is %v, too little to start with: give a size such as 512Mi." $path $list (get $amounts $kind)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $kind := list "cpu" "memory" -}}
{{- if and (hasKey $limits $kind) (hasKey $requests $kind) -}}
{{- $measure := eq $kind "cpu" | ternary "trainbridge.cores" "trainbridge.bytes" -}}
{{- if gt (float64 (include $measure (get $requests $kind))) (float64 (include $measure (get $limits $kind))) -}}
{{- $wrong = append $wrong (printf "%s.requests.%s is %v, more than the limit of %v: lower the one or raise the other." $path $kind (get $requests $kind) (get $limits $kind)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.autoscaling.enabled $v.autoscaling.targetCPUUtilizationPercentage (not (hasKey (($v.resources | default dict).requests | default dict) "cpu")) -}}
{{- $wrong = append $wrong "autoscaling.targetCPUUtilizationPercentage is a part of resources.requests.cpu, and that is not set: set it, or set the target to null." -}}
{{- end -}}
{{- $least := int64 $v.replicas -}}
{{- if $v.autoscaling.enabled -}}{{- $least = int64 $v.autoscaling.minReplicas -}}{{- end -}}
{{- if $v.keda.enabled -}}{{- $least = int64 $v.keda.minReplicas -}}{{- end -}}
{{- $budget := $v.podDisruptionBudget -}}
{{- if and $budget.enabled (include "trainbridge.isMany" .) -}}
{{- if and (kindIs "invalid" $budget.minAvailable) (kindIs "invalid" $budget.maxUnavailable) -}}
{{- $wrong = append $wrong "podDisruptionBudget has neither minAvailable nor maxUnavailable: set one of them, or podDisruptionBudget.enabled to false." -}}
{{- end -}}
{{- $isWhole := and (not (kindIs "invalid" $budget.minAvailable)) (not (kindIs "string" $budget.minAvailable)) -}}
{{- if or (eq (toString $budget.minAvailable) "100%") (and $isWhole (ge (toString $budget.minAvailable | int64) $least)) -}}
{{- $wrong = append $wrong (printf "podDisruptionBudget.minAvailable is %v of at least %d bridges, so no node could ever be drained: lower it, or raise the number of bridges." $budget.minAvailable $least) -}}
{{- end -}}
{{- end -}}
{{- if and (eq (toString $v.podSecurityContext.runAsUser) "0") $v.podSecurityContext.runAsNonRoot -}}
{{- $wrong = append $wrong "podSecurityContext.runAsUser is 0 and runAsNonRoot is true, so the kubelet would start nothing: choose another user, such as 65532." -}}
{{- end -}}
{{- $needed := addf $v.test.durationSeconds (include "trainbridge.testStoreSeconds" . | default "0" | float64) 60 | ceil -}}
{{- if and $v.test.enabled (gt $needed (float64 $v.test.deadlineSeconds)) -}}
{{- $wrong = append $wrong (printf "test.deadlineSeconds is %d, and the test may take longer: set it to at least %v, a minute more than test.durationSeconds and, with a store, test.storeSeconds." (int64 $v.test.deadlineSeconds) $needed) -}}
{{- end -}}
{{- $wrong = concat $wrong (include "trainbridge.extraChecks" . | fromJsonArray) -}}
{{- $wrong | toJson -}}
{{- end -}}

{{/* Whether what is added to the pod has names and places of its own. */}}
{{- define "trainbridge.extraChecks" -}}
{{- $wrong := list -}}
{{- $v := .Values -}}
{{- $volumes := $v.persistence.enabled | ternary (list "state") list -}}
{{- range include "trainbridge.volumes" . | fromYamlArray -}}
{{- if has .name $volumes -}}
{{- $wrong = append $wrong (printf "extraVolumes has a volume %s, and the pod has one of that name already: call it otherwise." .name) -}}
{{- end -}}
{{- $volumes = append $volumes .name -}}
{{- end -}}
{{- $paths := list -}}
{{- range include "trainbridge.mounts" . | fromYamlArray -}}
{{- if not (has .name $volumes) -}}
{{- $wrong = append $wrong (printf "extraVolumeMounts mounts %s, which is not a volume of the pod: add it to extraVolumes." .name) -}}
{{- end -}}
{{- if has (trimSuffix "/" .mountPath) $paths -}}
{{- $wrong = append $wrong (printf "extraVolumeMounts has %s, where something is mounted already: choose another mountPath." .mountPath) -}}
{{- end -}}
{{- $paths = append $paths (trimSuffix "/" .mountPath) -}}
{{- end -}}
{{- $containers := list "bridge" -}}
{{- range concat $v.extraContainers $v.extraInitContainers -}}
{{- if has .name $containers -}}
{{- $wrong = append $wrong (printf "extraContainers or extraInitContainers has a container %v, and the pod has one of that name already: call it otherwise." .name) -}}
{{- end -}}
{{- $containers = append $containers .name -}}
{{- end -}}
{{- $wrong | toJson -}}
{{- end -}}

{{/* An amount of CPU such as 250m or 2, in thousandths. */}}
{{- define "trainbridge.cores" -}}
{{- $text := toString . -}}
{{- hasSuffix "m" $text | ternary (trimSuffix "m" $text | float64) (mulf 1000 (float64 $text)) -}}
{{- end -}}
