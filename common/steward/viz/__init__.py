"""What the extension viz tells: `tap`, request by request, as the API server passes it on."""
