"""`linkerd-steward`, also reached as `linkerd steward`: what a person reads, starts and stops Steward with.

    __main__      answers Linkerd's question who we are, before anything heavy is imported
    app           which command is where
    options       the flags that every command has, and the frame that each runs in
    go_flags      flags as Linkerd, a Go program, writes them
    environment   what is read from the environment
    kubeconfig    which cluster, found as kubectl finds it
    connection    the API server and NATS, reached by flag, environment or a port-forward of our own
    check         the claims; check_facts gathers, check_installation and check_work judge, check_report writes
    run_view      what an UpgradeRun says to people; watch follows one, preview says what it would do
    output        tables, JSON and YAML; live views on a terminal, plain lines elsewhere
    explain       errors as a sentence, a remedy and an exit code
    exit_codes    what a command ends with

A command reads objects, asks a pure function what they mean, and prints that. Nothing here decides about a cluster:
`upgrade start` writes an UpgradeRun and repeats what upgrader says of it.
"""
