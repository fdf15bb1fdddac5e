"""Files of data in all formats: listed, checked and read, as data and never as code."""
