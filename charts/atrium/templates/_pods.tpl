{{/* Startup asks only whether the process is up: a pod that waits for a controller must wait, not be killed for it.
     Readiness is true once a complete snapshot is active. Nothing remote decides over life. */}}
{{- define "atrium.probes" -}}
startupProbe:
  httpGet: { path: /healthz, port: health }
  periodSeconds: 1
  failureThreshold: 60
readinessProbe:
  httpGet: { path: /readyz, port: health }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  httpGet: { path: /healthz, port: health }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}

{{/* Over zones and nodes as far as there are any. Takes a dict of root, component and hash (whether pods of one rollout
     are counted apart, which a DaemonSet does not know). */}}
{{- define "atrium.spread" -}}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "atrium.selector" $ | nindent 8 }}
    {{- if $.hash }}
    matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
{{- end -}}
