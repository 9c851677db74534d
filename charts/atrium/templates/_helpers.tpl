{{/* Fills in what the values lack. With `helm upgrade --reuse-values` those are of the release before, which knew nothing of
     values that came later. Every template begins with it, so that none has to tolerate gaps. */}}
{{- define "atrium.defaults" -}}
{{- range $path, $default := .Files.Get "files/defaults.yaml" | fromYaml -}}
{{- $names := splitList "." $path -}}
{{- $at := $.Values -}}
{{- range initial $names -}}
{{- if not (kindIs "map" (get $at .)) -}}{{- $_ := set $at . dict -}}{{- end -}}
{{- $at = get $at . -}}
{{- end -}}
{{- if not (hasKey $at (last $names)) -}}{{- $_ := set $at (last $names) $default -}}{{- end -}}
{{- end -}}
{{- end -}}

{{/* Name of the release, and the first part of every object's name. */}}
{{- define "atrium.fullname" -}}
{{- if contains "atrium" .Release.Name -}}
{{- .Release.Name | trunc 43 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-atrium" (.Release.Name | trunc 36 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{/* Takes a dict of root and component. */}}
{{- define "atrium.selector" -}}
app.kubernetes.io/name: atrium
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Takes a dict of root and, where the object belongs to one half, component. */}}
{{- define "atrium.labels" -}}
app.kubernetes.io/name: atrium
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: atrium
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- with .root.Values.extra.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "atrium.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The restricted profile of Pod Security, with what the values say over it. */}}
{{- define "atrium.podSecurityContext" -}}
{{- $restricted := dict "runAsNonRoot" true "runAsUser" 65532 "runAsGroup" 65532 "fsGroup" 65532 "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- toYaml (mergeOverwrite $restricted (deepCopy .Values.podSecurityContext)) -}}
{{- end -}}

{{- define "atrium.containerSecurityContext" -}}
allowPrivilegeEscalation: false
capabilities: { drop: [ALL] }
readOnlyRootFilesystem: true
{{- end -}}

{{/* Who and where a pod is, by the downward API. */}}
{{- define "atrium.environment" -}}
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: POD_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
- name: POD_UID
  valueFrom: { fieldRef: { fieldPath: metadata.uid } }
- name: POD_IP
  valueFrom: { fieldRef: { fieldPath: status.podIP } }
- name: NODE_NAME
  valueFrom: { fieldRef: { fieldPath: spec.nodeName } }
{{- end -}}

{{/* `true` where the Prometheus operator's API is there, or the values say so. Takes a dict of root and kind. */}}
{{- define "atrium.monitoring" -}}
{{- if or .root.Values.metrics.podMonitor.force (.root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind)) (.root.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") -}}
true
{{- end -}}
{{- end -}}

{{/* Whole seconds of a duration such as 45s. */}}
{{- define "atrium.seconds" -}}
{{- trimSuffix "s" . -}}
{{- end -}}

{{/* Namespace, to which DNS requests go: any, as clusters differ in where their servers are. */}}
{{- define "atrium.dnsEgress" -}}
- ports:
    - { port: 53, protocol: UDP }
    - { port: 53, protocol: TCP }
{{- end -}}
