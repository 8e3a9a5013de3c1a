//go:build tools

// Package tools keeps in go.mod, and in a vendored copy, what is built here.
package tools

import (
	_ "github.com/prometheus/alertmanager/cmd/alertmanager"
	_ "github.com/prometheus/alertmanager/cmd/amtool"
)
