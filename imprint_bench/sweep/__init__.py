"""From a configuration to rows: plan, banks, executor, store."""
