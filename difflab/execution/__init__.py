"""Compile a tape into a program: plan, generated code, exact arithmetic."""
