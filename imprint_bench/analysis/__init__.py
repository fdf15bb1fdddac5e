"""From rows to tables, diagrams and figures."""
