"""The course engine: what finds, grades, explains and proves the exercises."""
