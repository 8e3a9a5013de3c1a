//go:build tools

// Package tools keeps the Gateway API in go.mod: its CRD files are taken from the module cache.
package tools

import _ "sigs.k8s.io/gateway-api/apis/v1"
