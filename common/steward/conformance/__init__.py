"""What conformance runs are about, for everybody who reads them: results, feature states, causes, reports."""
