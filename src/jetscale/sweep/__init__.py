"""Running a planned study on Ray and keeping its records."""
