{{- define "outrigger.image" -}}
{{- .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "outrigger.featureGates" -}}
{{- $gates := list }}{{ range $name, $on := .Values.featureGates }}{{ $gates = append $gates (printf "%s=%t" $name $on) }}{{ end }}{{ join "," $gates }}
{{- end }}

{{- define "outrigger.caBundle" -}}
{{- if eq .Values.certificates.mode "secret" }}{{ .Values.certificates.caBundle }}{{ end }}
{{- end }}
