{{/* Names, labels, images and the values that several templates derive in the same way. */}}

{{- define "model-serving.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{/* At most 50 characters, so that every suffix of the chart's objects fits. */}}
{{- define "model-serving.fullname" -}}
{{- $name := include "model-serving.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "model-serving.selectorLabels" -}}
app.kubernetes.io/name: {{ include "model-serving.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end }}

{{/* Labels of every object but for its component. */}}
{{- define "model-serving.commonLabels" -}}
app.kubernetes.io/name: {{ include "model-serving.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "model-serving.labels" -}}
{{ include "model-serving.commonLabels" . }}
app.kubernetes.io/component: server
{{- end }}

{{/* The start of every object: metadata with name and labels. */}}
{{- define "model-serving.metadata" -}}
name: {{ include "model-serving.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "model-serving.labels" . | nindent 2 }}
{{- end }}

{{- define "model-serving.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "model-serving.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end }}

{{/* An image with its tag or digest. Takes a dict: image, defaultTag. */}}
{{- define "model-serving.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .defaultTag) -}}
{{- end -}}
{{- end }}

{{- define "model-serving.serverImage" -}}
{{- include "model-serving.image" (dict "image" .Values.image "defaultTag" .Chart.AppVersion) -}}
{{- end }}

{{/* A scalar as text: YAML numbers arrive as floats, which print 1e+06 for a million. */}}
{{- define "model-serving.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}{{ int64 . }}{{- else -}}{{ toString . }}{{- end -}}
{{- end }}

{{/* baseUrl without slashes around it. */}}
{{- define "model-serving.baseUrl" -}}
{{- .Values.baseUrl | trimAll "/" -}}
{{- end }}

{{/* The path under which the server answers: / or /<baseUrl>. */}}
{{- define "model-serving.basePath" -}}
{{- printf "/%s" (include "model-serving.baseUrl" .) -}}
{{- end }}

{{- define "model-serving.modelsDir" -}}
{{- printf "/git/current/%s" (.Values.repo.subPath | trimSuffix "/") | trimSuffix "/" -}}
{{- end }}

{{/* Whether the Deployment leaves the number of pods to somebody else. */}}
{{- define "model-serving.isScaled" -}}
{{- if or .Values.autoscaling.enabled .Values.keda.enabled -}}true{{- end -}}
{{- end }}

{{/* The most pods that this release can have. */}}
{{- define "model-serving.maxReplicas" -}}
{{- if .Values.autoscaling.enabled -}}{{ int .Values.autoscaling.maxReplicas }}
{{- else if .Values.keda.enabled -}}{{ int .Values.keda.maxReplicas }}
{{- else -}}{{ int .Values.replicaCount }}
{{- end -}}
{{- end }}

{{- define "model-serving.isDuration" -}}
{{- if regexMatch "^([0-9]+([.][0-9]+)?(ms|s|m|h))+$" (toString .) -}}true{{- end -}}
{{- end }}

{{/* Whole seconds of a duration such as 1h30m; 0 for what is none. */}}
{{- define "model-serving.seconds" -}}
{{- if include "model-serving.isDuration" . -}}
{{- $epoch := toDate "2006-01-02" "2000-01-01" -}}
{{- sub (mustDateModify (toString .) $epoch | unixEpoch) ($epoch | unixEpoch) -}}
{{- else -}}0{{- end -}}
{{- end }}

{{/* Whether the ref is a full commit id, which git-sync fetches once and never again. */}}
{{- define "model-serving.isCommit" -}}
{{- if regexMatch "^([0-9a-f]{40}|[0-9a-f]{64})$" .Values.repo.ref -}}true{{- end -}}
{{- end }}

{{/* Prometheus' job labels, set by the monitors' relabelings; rules, dashboard and KEDA select by them. */}}
{{- define "model-serving.series" -}}
namespace="{{ .Release.Namespace }}",job="{{ include "model-serving.fullname" . }}"
{{- end }}
{{- define "model-serving.gitSeries" -}}
namespace="{{ .Release.Namespace }}",job="{{ include "model-serving.fullname" . }}-git-sync"
{{- end }}
