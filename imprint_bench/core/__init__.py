"""Pure functions of arrays: everything the study defines, and nothing that touches a disk."""
