"""Position models and strategies that only the kernel's tests use."""
