namespace holdfast {}
