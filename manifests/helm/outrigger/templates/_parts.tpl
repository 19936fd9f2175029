{{- define "outrigger.image" -}}
{{- .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "outrigger.featureGates" -}}
{{- $gates := list }}{{ range $name, $on := .Values.featureGates }}{{ $gates = append $gates (printf "%s=%t" $name $on) }}{{ end }}{{ join "," $gates }}
{{- end }}

{{- define "outrigger.caBundle" -}}
{{- if eq .Values.certificates.mode "secret" }}{{ .Values.certificates.caBundle }}{{ end }}
{{- end }}

{{- define "outrigger.refused" -}}
{{- if and .Values.strict (eq (.Values.replicas | int) 0) }}
{{- fail "replicas: expected at least 1 where strict is true, found 0: every new pod of the cluster would be refused" }}
{{- end }}
{{- if hasKey (.Values.podLabels | default dict) "app.kubernetes.io/name" }}
{{- fail "podLabels: expected labels beside ours, found app.kubernetes.io/name, by which Service and Deployment find the pods" }}
{{- end }}
{{- end }}

{{- define "outrigger.labelled" -}}
{{- $object := fromYaml .text }}
{{- $_ := mergeOverwrite $object.metadata.labels (.labels | default dict) }}
{{- toYaml $object }}
{{- end }}
