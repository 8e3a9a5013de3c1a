"""What Linkerd is: its versions, the shape of an installation, what each version demands. Pure, without I/O."""
