{{/* What Prometheus scrapes, records and tells. */}}

{{/* The two endpoints of a pod; their job labels are what rules, dashboard and KEDA select by. Takes a dict: root, interval. */}}
{{- define "model-serving.endpoints" -}}
{{- $fullname := include "model-serving.fullname" .root -}}
- port: http
  path: /metrics
  interval: {{ .interval }}
  relabelings:
    - targetLabel: job
      replacement: {{ $fullname }}
- port: git-sync
  path: /metrics
  interval: {{ .interval }}
  relabelings:
    - targetLabel: job
      replacement: {{ $fullname }}-git-sync
{{- end }}

{{/* files/rules.yaml with this release's names and thresholds. */}}
{{- define "model-serving.rules" -}}
{{- $rule := .Values.metrics.prometheusRule -}}
{{- $twoPeriods := add 600 (mul 2 (include "model-serving.seconds" .Values.repo.period | int64)) -}}
{{- .Files.Get "files/rules.yaml"
  | replace "<series>" (include "model-serving.series" .)
  | replace "<git-series>" (include "model-serving.gitSeries" .)
  | replace "<namespace>" .Release.Namespace
  | replace "<path>" (printf "%s/" (include "model-serving.basePath" . | trimSuffix "/"))
  | replace "<error-ratio>" (toString $rule.errorRatio)
  | replace "<latency-seconds>" (toString $rule.latencySeconds)
  | replace "<two-periods>" (toString $twoPeriods)
  | replace "<retry-window>" (include "model-serving.seconds" .Values.repo.retryPeriod | int64 | mul 3 | max 300 | toString)
  | replace "<step>" (max 15 (div $twoPeriods 600) | toString) -}}
{{- end }}
