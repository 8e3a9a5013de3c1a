"""The controllers of a simulated cluster: what makes pods come, go, roll and get a proxy."""
