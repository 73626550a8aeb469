{{/* Values that contradict each other: one line each, and what to write instead. Empty when all is well. */}}

{{- define "model-serving.validate" -}}
{{- $problems := list -}}
{{- range $part := list "names" "repo" "credentials" "server" "shutdown" "scaling" "routes" "monitoring" -}}
{{- range $line := include (printf "model-serving.problems.%s" $part) $ | splitList "\n" -}}
{{- if trim $line -}}{{- $problems = append $problems (printf "  - %s" (trim $line)) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "\n\nThese values do not work:\n%s\n" (join "\n" $problems)) -}}
{{- end -}}
{{- end }}

{{- define "model-serving.problems.repo" -}}
{{- $repo := .Values.repo -}}
{{- if not $repo.url }}
repo.url is empty: set it to the repository with the model folders, as in --set repo.url=https://git.example.com/team/models.git
{{- else if not (or (regexMatch "^[a-z][a-z0-9+.-]*://." $repo.url) (include "model-serving.isSsh" .) (hasPrefix "/" $repo.url)) }}
repo.url has no scheme: write https://, ssh:// or git@HOST:PATH, as in https://{{ $repo.url }}
{{- end }}
{{- if regexMatch "^[a-z][a-z0-9+.-]*://[^/@]*:[^/@]*@" $repo.url }}
repo.url contains a password, which process lists and logs show: take it out, and put it into credentials.existingSecret or credentials.https.password
{{- else if regexMatch "^https?://[^/@]+@" $repo.url }}
repo.url contains a user or a token, which process lists and logs show: take it out, put the user into credentials.https.username and the token into credentials.existingSecret or credentials.https.password
{{- end }}
{{- if not $repo.ref }}
repo.ref is empty: write a branch, a tag, a full commit id, or HEAD for the default branch
{{- else if regexMatch "^[0-9a-f]{7,39}$" $repo.ref }}
repo.ref looks like a shortened commit id, which git hosts do not serve: write all 40 characters, or a branch or tag
{{- end }}
{{- if hasPrefix "/" $repo.subPath }}
repo.subPath is absolute: write it relative to the repository's root, as in {{ trimPrefix "/" $repo.subPath | default "models" }}
{{- end }}
{{- if has ".." (splitList "/" $repo.subPath) }}
repo.subPath leaves the repository: write a folder inside it, without ..
{{- end }}
{{- range $name, $value := dict "repo.period" $repo.period "repo.retryPeriod" $repo.retryPeriod "gitSync.timeout" .Values.gitSync.timeout "gitSync.staleWorktreeTimeout" .Values.gitSync.staleWorktreeTimeout }}
{{- if not (include "model-serving.isDuration" $value) }}
{{ $name }} is "{{ $value }}": write a duration such as 24h, 15m, 30s or 1h30m
{{- else if and (has $name (list "repo.period" "repo.retryPeriod")) (lt (int (include "model-serving.seconds" $value)) 5) }}
{{ $name }} is {{ $value }}, and every pod asks the git host that often: write 5s or more
{{- end }}
{{- end }}
{{- range .Values.gitSync.extraArgs }}
{{- if regexMatch "^--?(password|username|credential|github-app-private-key)(=|$)" . }}
gitSync.extraArgs has {{ splitList "=" . | first }}, and process lists show it: use the values under credentials
{{- else if regexMatch "^--?(repo|ref|root|link|depth|submodules|period|init-period|max-failures|init-max-failures|sync-timeout|stale-worktree-timeout|sync-on-signal|error-file|http-bind|http-metrics|one-time)(=|$)" . }}
gitSync.extraArgs has {{ splitList "=" . | first }}, which the chart sets: use the values under repo and gitSync
{{- end }}
{{- end }}
{{- range .Values.gitSync.extraEnv }}
{{- if regexMatch "^GIT_?SYNC_" .name }}
gitSync.extraEnv has {{ .name }}: the chart configures git-sync by flags; use the values under repo, credentials and gitSync
{{- end }}
{{- end }}
{{- end }}

{{- define "model-serving.problems.credentials" -}}
{{- $c := .Values.credentials -}}
{{- $isSsh := include "model-serving.isSsh" . -}}
{{- $inline := list -}}
{{- if $c.https.password -}}{{- $inline = append $inline "credentials.https.password" -}}{{- end -}}
{{- if $c.ssh.privateKey -}}{{- $inline = append $inline "credentials.ssh.privateKey" -}}{{- end -}}
{{- if $c.githubApp.privateKey -}}{{- $inline = append $inline "credentials.githubApp.privateKey" -}}{{- end -}}
{{- if and $c.existingSecret $inline }}
credentials.existingSecret and {{ join " and " $inline }} are both set: keep the Secret, or keep the value and leave existingSecret empty
{{- else if gt (len $inline) 1 }}
{{ join " and " $inline }} are both set: a repository takes one kind of credentials; keep one
{{- end }}
{{- if and $c.githubApp.installationId (or $c.https.password $c.ssh.privateKey) }}
credentials.githubApp.installationId is set beside another kind of credentials: keep one
{{- end }}
{{- if and $isSsh (or $c.https.password $c.githubApp.installationId) }}
repo.url is an SSH address, which takes no password and no GitHub App: write its https:// address, or give a key in credentials.existingSecret or credentials.ssh.privateKey
{{- else if and $isSsh (not $c.existingSecret) (not $c.ssh.privateKey) }}
repo.url is an SSH address, which needs a key: give one in credentials.existingSecret or credentials.ssh.privateKey
{{- else if and $c.ssh.privateKey (not $isSsh) .Values.repo.url }}
credentials.ssh.privateKey is set and repo.url is no SSH address: write it as git@HOST:PATH or ssh://git@HOST/PATH
{{- end }}
{{- if and $c.ssh.privateKey (not $c.ssh.knownHosts) }}
credentials.ssh.knownHosts is empty: give the git host's line, as `ssh-keyscan HOST` prints it, so that no other host can pose as it
{{- end }}
{{- $user := .Values.podSecurityContext.runAsUser -}}
{{- if and (eq (include "model-serving.credentialsKind" .) "ssh") $user (ne (int64 $user) 65533) }}
podSecurityContext.runAsUser is {{ int64 $user }}, whom git-sync's image does not know, so that ssh refuses to run: write 65533, or an https:// address with a token
{{- end }}
{{- if and (or $c.githubApp.privateKey $c.githubApp.applicationId) (not $c.githubApp.installationId) }}
credentials.githubApp.installationId is empty: give the id that the App's installation page has in its address
{{- end }}
{{- if $c.githubApp.installationId }}
{{- if not $c.githubApp.applicationId }}
credentials.githubApp.applicationId is empty: give the App's id beside installationId
{{- end }}
{{- if not (or $c.githubApp.privateKey $c.existingSecret) }}
credentials.githubApp has no key: give it in credentials.existingSecret or credentials.githubApp.privateKey
{{- end }}
{{- end }}
{{- end }}

{{- define "model-serving.problems.server" -}}
{{- if or (regexMatch "[?#%\\\\[:space:]]" .Values.baseUrl) (contains "//" (trimAll "/" .Values.baseUrl)) (has ".." (splitList "/" .Values.baseUrl)) }}
baseUrl is "{{ .Values.baseUrl }}": write path segments, as in models or team/models
{{- end }}
{{- $own := dict "PORT" "containerPort" "MODELS_DIR" "repo.subPath" "baseUrl" "baseUrl" "STATE_DIR" "state.persistence" -}}
{{- range .Values.extraEnv }}
{{- if hasKey $own .name }}
extraEnv has {{ .name }}, which the chart sets: use {{ get $own .name }}
{{- else if hasKey $.Values.settings .name }}
extraEnv has {{ .name }}: use settings.{{ .name }}
{{- end }}
{{- end }}
{{- if and (lt (int .Values.containerPort) 1024) }}
containerPort is {{ int .Values.containerPort }}, which a process without privileges may not open: write 8080, the Service listens on {{ int .Values.service.port }} all the same
{{- end }}
{{- if eq (int .Values.containerPort) (int .Values.gitSync.metricsPort) }}
containerPort and gitSync.metricsPort are both {{ int .Values.containerPort }}, and the containers of a pod share one address: change one
{{- end }}
{{- $state := .Values.state.persistence -}}
{{- if and $state.enabled (hasPrefix "ReadWriteOnce" $state.accessMode) (gt (int (include "model-serving.maxReplicas" .)) 1) }}
state.persistence.accessMode is {{ $state.accessMode }}, which one pod can mount, and there may be {{ include "model-serving.maxReplicas" . }}: use ReadWriteMany, or replicaCount=1 without autoscaling
{{- end }}
{{- if and $state.enabled .Values.state.sizeLimit }}
state.sizeLimit is for the emptyDir, and state.persistence replaces it: set state.persistence.size and leave sizeLimit empty
{{- end }}
{{- end }}

{{- define "model-serving.problems.shutdown" -}}
{{- $delay := float64 .Values.settings.DRAIN_DELAY_SECONDS -}}
{{- $shutdown := float64 .Values.settings.SHUTDOWN_TIMEOUT_SECONDS -}}
{{- $grace := float64 .Values.terminationGracePeriodSeconds -}}
{{- $needed := addf (float64 .Values.preStopSleepSeconds) $shutdown -}}
{{- if le $shutdown $delay }}
settings.SHUTDOWN_TIMEOUT_SECONDS is {{ $shutdown }} and counts from SIGTERM, so DRAIN_DELAY_SECONDS={{ $delay }} uses all of it: write {{ addf $delay (float64 .Values.settings.REQUEST_TIMEOUT_SECONDS) }}, the delay plus REQUEST_TIMEOUT_SECONDS
{{- end }}
{{- if le $grace $needed }}
terminationGracePeriodSeconds is {{ $grace }}, and preStopSleepSeconds + settings.SHUTDOWN_TIMEOUT_SECONDS take {{ $needed }}, so that the pod would be killed while it drains: write {{ ceil (addf $needed 5.0) }} or more
{{- end }}
{{- end }}

{{- define "model-serving.problems.scaling" -}}
{{- $hpa := .Values.autoscaling -}}
{{- $keda := .Values.keda -}}
{{- if and $hpa.enabled $keda.enabled }}
autoscaling.enabled and keda.enabled are both true, and would fight over the number of pods: keep one
{{- end }}
{{- if and $hpa.enabled (gt (int $hpa.minReplicas) (int $hpa.maxReplicas)) }}
autoscaling.minReplicas is {{ int $hpa.minReplicas }}, more than maxReplicas, {{ int $hpa.maxReplicas }}: swap or change them
{{- end }}
{{- if and $keda.enabled (gt (int $keda.minReplicas) (int $keda.maxReplicas)) }}
keda.minReplicas is {{ int $keda.minReplicas }}, more than maxReplicas, {{ int $keda.maxReplicas }}: swap or change them
{{- end }}
{{- if $hpa.enabled }}
{{- if not (or $hpa.targetCPUUtilizationPercentage $hpa.targetMemoryUtilizationPercentage) }}
autoscaling has no target: set autoscaling.targetCPUUtilizationPercentage, or use keda
{{- end }}
{{- range $resource, $target := dict "cpu" $hpa.targetCPUUtilizationPercentage "memory" $hpa.targetMemoryUtilizationPercentage }}
{{- if and $target (not (dig "requests" $resource "" $.Values.resources)) }}
autoscaling aims at a share of the {{ $resource }} request, and there is none: set resources.requests.{{ $resource }}
{{- end }}
{{- end }}
{{- end }}
{{- if and $keda.enabled (not $keda.serverAddress) }}
keda.serverAddress is empty: set it to your Prometheus, as in http://prometheus-operated.monitoring:9090
{{- end }}
{{- if and $keda.enabled (not $keda.query) (not (or .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled)) }}
keda.query is empty, and nothing of this chart scrapes the pods with the labels that the built-in query selects: set metrics.podMonitor.enabled=true, or write a query
{{- end }}
{{- $pdb := .Values.podDisruptionBudget -}}
{{- if $pdb.enabled }}
{{- $least := include "model-serving.leastReplicas" . | int -}}
{{- if and (not (kindIs "invalid" $pdb.minAvailable)) (not (kindIs "invalid" $pdb.maxUnavailable)) }}
podDisruptionBudget.minAvailable and maxUnavailable are both set, and Kubernetes takes one: set the other to null
{{- else if and (kindIs "invalid" $pdb.minAvailable) (kindIs "invalid" $pdb.maxUnavailable) }}
podDisruptionBudget has neither minAvailable nor maxUnavailable: set maxUnavailable=1
{{- else if eq (toString $pdb.minAvailable) "100%" }}
podDisruptionBudget.minAvailable is 100%, so that no node could ever be drained: write maxUnavailable=1 and minAvailable=null
{{- else if and (not (kindIs "invalid" $pdb.minAvailable)) (not (kindIs "string" $pdb.minAvailable)) (ge (int $pdb.minAvailable) $least) }}
podDisruptionBudget.minAvailable is {{ int $pdb.minAvailable }} and there may be only {{ $least }} pods, so that no node could ever be drained: write less, or maxUnavailable=1 and minAvailable=null
{{- else if has (toString $pdb.maxUnavailable) (list "0" "0%") }}
podDisruptionBudget.maxUnavailable is {{ $pdb.maxUnavailable }}, so that no node could ever be drained: write 1 or more
{{- end }}
{{- end }}
{{- end }}

{{/* The fewest pods that this release can have. */}}
{{- define "model-serving.leastReplicas" -}}
{{- if .Values.autoscaling.enabled -}}{{ int .Values.autoscaling.minReplicas }}
{{- else if .Values.keda.enabled -}}{{ int .Values.keda.minReplicas }}
{{- else -}}{{ int .Values.replicaCount }}
{{- end -}}
{{- end }}

{{- define "model-serving.problems.routes" -}}
{{- $base := include "model-serving.basePath" . -}}
{{- $outside := .Values.ingress.path | default $base | trimSuffix "/" -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.rewrite) (not (hasPrefix (printf "%s/" $outside) (printf "%s/" ($base | trimSuffix "/")))) }}
ingress.path is {{ .Values.ingress.path }} and the server answers under {{ $base }}: set baseUrl to the same path, or ingress.rewrite=true
{{- end }}
{{- if and .Values.ingress.enabled .Values.ingress.rewrite (not $outside) }}
ingress.rewrite needs a path to replace: set ingress.path, as in /models
{{- end }}
{{- range $name, $path := dict "ingress.path" .Values.ingress.path "httpRoute.path" .Values.httpRoute.path }}
{{- if and $path (not (hasPrefix "/" $path)) }}
{{ $name }} is {{ $path }}: begin it with a slash, as in /{{ $path }}
{{- end }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
httpRoute.parentRefs is empty: name the Gateway that takes the route, as in --set httpRoute.parentRefs[0].name=gateway
{{- end }}
{{- if and .Values.service.nodePort (eq .Values.service.type "ClusterIP") }}
service.nodePort is set and service.type is ClusterIP, which has none: set service.type=NodePort
{{- end }}
{{- end }}

{{- define "model-serving.problems.monitoring" -}}
{{- $m := .Values.metrics -}}
{{- if and $m.serviceMonitor.enabled $m.podMonitor.enabled }}
metrics.serviceMonitor.enabled and metrics.podMonitor.enabled are both true, and every pod would be counted twice: keep one
{{- end }}
{{- if and $m.prometheusRule.enabled (not (or $m.serviceMonitor.enabled $m.podMonitor.enabled)) }}
metrics.prometheusRule.enabled is true and nothing of this chart scrapes the pods with the labels that the rules select: set metrics.podMonitor.enabled=true
{{- end }}
{{- end }}

{{/* Names that other charts, the file env and the server use for values of this one; the schema lets them through to here. */}}
{{- define "model-serving.problems.names" -}}
{{- $root := dict "replicas" "replicaCount" "hpa" "autoscaling" "env" "extraEnv and settings" "port" "service.port and containerPort" "git" "repo" "gitPath" "repo.url" "usergit" "credentials.https.username" "password" "credentials.existingSecret or credentials.https.password" "persistence" "state.persistence" "pdb" "podDisruptionBudget" "serviceMonitor" "metrics.serviceMonitor" -}}
{{- $repo := dict "branch" "repo.ref" "tag" "repo.ref" "revision" "repo.ref" "path" "repo.subPath" "interval" "repo.period" "password" "credentials.existingSecret or credentials.https.password" "username" "credentials.https.username" -}}
{{- $settings := dict "PORT" "containerPort" "MODELS_DIR" "repo.subPath" "STATE_DIR" "state.persistence" "baseUrl" "baseUrl, outside of settings" -}}
{{- range $prefix, $names := dict "" $root "repo." $repo "settings." $settings }}
{{- $values := ternary $.Values (get $.Values (trimSuffix "." $prefix)) (eq $prefix "") }}
{{- range $name, $right := $names }}
{{- if hasKey $values $name }}
there is no value {{ $prefix }}{{ $name }}: write {{ $right }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
