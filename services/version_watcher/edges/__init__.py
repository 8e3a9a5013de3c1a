"""What is on the other side: a web server with a document, the ReleaseCatalog, the bus."""
