# What `cmake --install` puts where. Read by CMakeLists.txt. The manual and the completions are what the program itself
# prints; the unit names the place where the program went.
include(GNUInstallDirs)
install(TARGETS holdfast RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES mta/holdfast.sysusers DESTINATION lib/sysusers.d RENAME holdfast.conf)
# Where only the relay was built, only the relay is installed.
install(PROGRAMS ${PROJECT_BINARY_DIR}/holdfast-selftest DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/holdfast OPTIONAL)

install(CODE "
  set(program \"$<TARGET_FILE:holdfast>\")
  set(made \"${PROJECT_BINARY_DIR}/installed\")
  set(bin \"${CMAKE_INSTALL_BINDIR}\")
  set(share \"${CMAKE_INSTALL_DATADIR}\")
  set(man \"${CMAKE_INSTALL_MANDIR}\")
  set(unit \"${PROJECT_SOURCE_DIR}/mta/holdfast.service\")
")
install(CODE [[
  get_filename_component(prefix "${CMAKE_INSTALL_PREFIX}" ABSOLUTE)
  function(put folder file)
    set(to "${folder}")
    if(NOT IS_ABSOLUTE "${to}")
      set(to "${prefix}/${folder}")
    endif()
    file(INSTALL DESTINATION "${to}" TYPE FILE FILES "${made}/${file}")
  endfunction()
  function(put_printed folder file)  # and the words of the command that prints it
    execute_process(COMMAND "${program}" ${ARGN} OUTPUT_FILE "${made}/${file}" RESULT_VARIABLE code)
    if(NOT code EQUAL 0)
      message(FATAL_ERROR "holdfast ${ARGN} ended with ${code}")
    endif()
    put("${folder}" "${file}")
  endfunction()

  file(MAKE_DIRECTORY "${made}")
  put_printed("${man}/man1" holdfast.1 man)
  put_printed("${share}/bash-completion/completions" holdfast completion bash)
  put_printed("${share}/fish/vendor_completions.d" holdfast.fish completion fish)
  # Debian's zsh looks into site-functions below /usr/local only.
  set(zsh "${share}/zsh/site-functions")
  if(prefix STREQUAL "/usr")
    set(zsh "${share}/zsh/vendor-completions")
  endif()
  put_printed("${zsh}" _holdfast completion zsh)

  set(program_there "${bin}/holdfast")
  if(NOT IS_ABSOLUTE "${program_there}")
    set(program_there "${prefix}/${program_there}")
  endif()
  file(READ "${unit}" text)
  string(REPLACE "/usr/bin/holdfast" "${program_there}" text "${text}")
  file(WRITE "${made}/holdfast.service" "${text}")
  put("lib/systemd/system" holdfast.service)
]])
