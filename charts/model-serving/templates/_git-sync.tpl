{{/* git-sync: its flags, its credentials and its container. */}}

{{/* Which kind of credentials is used: https, ssh, githubApp or none. */}}
{{- define "model-serving.credentialsKind" -}}
{{- $c := .Values.credentials -}}
{{- if $c.githubApp.installationId -}}githubApp
{{- else if $c.ssh.privateKey -}}ssh
{{- else if $c.https.password -}}https
{{- else if and $c.existingSecret (include "model-serving.isSsh" .) -}}ssh
{{- else if $c.existingSecret -}}https
{{- else -}}none
{{- end -}}
{{- end }}

{{- define "model-serving.isSsh" -}}
{{- if or (hasPrefix "ssh://" .Values.repo.url) (regexMatch "^[^/:@]+@[^/:]+:" .Values.repo.url) -}}true{{- end -}}
{{- end }}

{{- define "model-serving.credentialsSecret" -}}
{{- .Values.credentials.existingSecret | default (printf "%s-git-credentials" (include "model-serving.fullname" .)) -}}
{{- end }}

{{/* Flags that say what to sync and how to get in; the same for the sidecar and for the test. */}}
{{- define "model-serving.gitSyncSource" -}}
{{- $c := .Values.credentials -}}
{{- $kind := include "model-serving.credentialsKind" . -}}
- --repo={{ .Values.repo.url }}
- --ref={{ .Values.repo.ref }}
- --root=/git
- --link=current
- --depth={{ int .Values.repo.depth }}
- --submodules={{ .Values.repo.submodules }}
- --sync-timeout={{ .Values.gitSync.timeout }}
# A sync that hangs outlives its timeout, because git's helper keeps the pipe: these end it. A large file streams.
- --git-config=http.lowSpeedLimit:1000,http.lowSpeedTime:60,core.bigFileThreshold:1m
- --verbose={{ int .Values.gitSync.verbose }}
{{- if eq $kind "https" }}
- --username={{ $c.https.username }}
- --password-file=/etc/git-secret/password
{{- else if eq $kind "ssh" }}
- --ssh-key-file=/etc/git-secret/ssh
- --ssh-known-hosts-file=/etc/git-secret/known_hosts
{{- else if eq $kind "githubApp" }}
- --github-app-application-id={{ include "model-serving.text" $c.githubApp.applicationId }}
- --github-app-installation-id={{ include "model-serving.text" $c.githubApp.installationId }}
- --github-app-private-key-file=/etc/git-secret/github-app-private-key
{{- with $c.githubApp.baseUrl }}
- --github-base-url={{ . }}
{{- end }}
{{- end }}
{{- with .Values.gitSync.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Flags of the sidecar, which goes on for ever. */}}
{{- define "model-serving.gitSyncArgs" -}}
{{ include "model-serving.gitSyncSource" . }}
- --period={{ .Values.repo.period }}
- --max-failures=-1
- --stale-worktree-timeout={{ .Values.gitSync.staleWorktreeTimeout }}
- --sync-on-signal=SIGHUP
# Outside of the root, or every failure would wake the server's watcher.
- --error-file=/tmp/sync-error.json
- --http-bind=:{{ int .Values.gitSync.metricsPort }}
- --http-metrics
{{- end }}

{{/* What every git-sync container has but for its name, command and arguments. */}}
{{- define "model-serving.gitSyncContainer" -}}
image: {{ include "model-serving.image" (dict "image" .Values.gitSync.image "defaultTag" "") | quote }}
imagePullPolicy: {{ .Values.gitSync.image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
env:
  - name: GIT_SSH_COMMAND
    value: ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=15 -o ServerAliveCountMax=4
  # Read by the wrapper; git-sync itself has flags.
  - name: SYNC_RETRY_SECONDS
    value: {{ include "model-serving.seconds" .Values.repo.retryPeriod | quote }}
  {{- if .Values.repo.caBundle }}
  - name: GIT_SSL_CAINFO
    value: /etc/git-ca/ca.crt
  - name: SSL_CERT_FILE
    value: /etc/git-ca/ca.crt
  {{- end }}
  {{- with .Values.gitSync.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.gitSync.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: git
    mountPath: /git
  # git's home holds its credential cache: never shared with the server.
  - name: git-tmp
    mountPath: /tmp
  {{- if ne (include "model-serving.credentialsKind" .) "none" }}
  - name: git-credentials
    mountPath: /etc/git-secret
    readOnly: true
  {{- end }}
  {{- if .Values.repo.caBundle }}
  - name: git-ca
    mountPath: /etc/git-ca
    readOnly: true
  {{- end }}
{{- end }}

{{/* The volumes of those mounts. */}}
{{- define "model-serving.gitSyncVolumes" -}}
{{- $c := .Values.credentials -}}
{{- $kind := include "model-serving.credentialsKind" . -}}
- name: git
  {{- with .Values.gitSync.volumeSizeLimit }}
  emptyDir:
    sizeLimit: {{ . }}
  {{- else }}
  emptyDir: {}
  {{- end }}
- name: git-tmp
  emptyDir: {}
{{- if ne $kind "none" }}
- name: git-credentials
  projected:
    defaultMode: 0400
    sources:
      - secret:
          name: {{ include "model-serving.credentialsSecret" . }}
          items:
            {{- if eq $kind "https" }}
            - key: {{ $c.keys.password }}
              path: password
            {{- else if eq $kind "githubApp" }}
            - key: {{ $c.keys.githubAppPrivateKey }}
              path: github-app-private-key
            {{- else }}
            - key: {{ $c.keys.sshPrivateKey }}
              path: ssh
            {{- if not $c.ssh.knownHosts }}
            - key: {{ $c.keys.knownHosts }}
              path: known_hosts
            {{- end }}
            {{- end }}
      {{- if and (eq $kind "ssh") $c.ssh.knownHosts }}
      - configMap:
          name: {{ include "model-serving.fullname" . }}-git
          items:
            - key: known_hosts
              path: known_hosts
      {{- end }}
{{- end }}
{{- if .Values.repo.caBundle }}
- name: git-ca
  configMap:
    name: {{ include "model-serving.fullname" . }}-git
    items:
      - key: ca.crt
        path: ca.crt
{{- end }}
{{- end }}
