//! libmtdshim.so: the edge.
