//go:build tools

// Package promtool pins the program with which the chart's alert rules are tried.
package promtool

import _ "github.com/prometheus/prometheus/cmd/promtool"
