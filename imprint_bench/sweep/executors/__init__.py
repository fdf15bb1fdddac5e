"""One module per executor; each registers itself under the name that YAML uses."""
