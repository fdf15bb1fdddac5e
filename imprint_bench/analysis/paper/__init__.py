"""The tables and figures of the IMPRINT paper (Westerhoff et al., TMLR 2025), from rows."""
