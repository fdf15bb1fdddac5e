"""Fixed last layers as functions of arrays: prototypes, assignment, losses."""
