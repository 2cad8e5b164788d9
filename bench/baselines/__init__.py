"""What people would use instead, each as its own documentation has it; written for this comparison, nothing copied."""
