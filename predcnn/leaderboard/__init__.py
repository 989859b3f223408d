"""Records of finished runs, published results, and the tables and pages made of both."""
